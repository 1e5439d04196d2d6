"""What the services write to each other; `FILES` replaces the first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """A prosecution service of the story: member name, country, title, and how the audience hears of it."""

    member: str
    country: str
    title: str
    language: str
    spoken: str


SERVICES = (
    Service("ar-mpf", "AR", "Ministerio Público Fiscal de la Nación", "es", "Argentina"),
    Service("br-mpf", "BR", "Ministério Público Federal", "pt", "Brazil"),
    Service("co-fgn", "CO", "Fiscalía General de la Nación", "es", "Colombia"),
    Service("es-fge", "ES", "Fiscalía General del Estado", "es", "Spain"),
)
STEWARDS = ("ana", "bruno", "carmen")
NETWORK = "rfai"

REQUEST_SUBJECT = "Asistencia urgente: cuentas y titulares, causa FRO 4127/2026"
REQUEST = """\
Señora Fiscal:

En la causa FRO 4127/2026 solicitamos con carácter urgente los registros de apertura y los titulares de las
cuentas que se detallan, vinculadas a la organización investigada, y que se preserven los datos de conexión
de los últimos noventa días.

El plazo se explica por la audiencia de control fijada para el próximo martes.

Saludos cordiales,
Fiscalía Federal N.º 2 de Rosario
"""
ALERT_SUBJECT = "Alerta a la red: contenedor en tránsito, entrega vigilada"
ALERT = """\
Se solicita a los puntos de contacto de la red que no intercepten el contenedor MSKU-774120-3. La entrega
vigilada está autorizada hasta destino. Contacto permanente: guardia de la Fiscalía Antidroga.
"""
ANSWER_SUBJECT = "Respuesta: datos preservados y titulares identificados"
ANSWER = """\
Los datos quedaron preservados hoy a las 14:05. Se identificaron tres titulares; se remite el detalle y se
propone una videoconferencia para coordinar la audiencia.
"""
UPDATE_SUBJECT = "Atualização automática do caso"
UPDATE = "Movimento {number} do processo 5012-88.2026: nova diligência registrada pelo sistema de casos.\n"
