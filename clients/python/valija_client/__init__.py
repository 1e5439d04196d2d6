"""Speaks to a Valija node's API, asynchronous and typed."""

from valija_client.client import Client
from valija_client.errors import AnswerError, Fault, Problem, Refusal, RequestError, UnreachableError, ValijaClientError
from valija_client.patience import Patience
from valija_client.types import DeliveryEvent, Draft, Event, HandoverEvent, MessageEvent, OtherEvent, Received, Sent

__all__ = [
    "AnswerError",
    "Client",
    "DeliveryEvent",
    "Draft",
    "Event",
    "Fault",
    "HandoverEvent",
    "MessageEvent",
    "OtherEvent",
    "Patience",
    "Problem",
    "Received",
    "Refusal",
    "RequestError",
    "Sent",
    "UnreachableError",
    "ValijaClientError",
]
