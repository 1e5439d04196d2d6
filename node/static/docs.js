// Shows the description of the API; nothing is asked of any other site.
"use strict";
Redoc.init("openapi.json", { disableSearch: true, hideDownloadButton: false }, document.getElementById("api"));
