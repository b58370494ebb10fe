"""From settings to a running component: the only place where receivers and publishers meet."""

import gc
import logging
from collections.abc import Mapping
from typing import Any

from rawdaq.config import registry
from rawdaq.config.options import supplied
from rawdaq.config.settings import ComponentSettings, PublisherSettings
from rawdaq.errors import ComponentError
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer

_LOG = logging.getLogger("rawdaq.station")

#: So many objects more than before make the collector look at the youngest; a tenth as often at the others.
_COLLECT_AFTER = (50_000, 10, 10)


def build(component: ComponentSettings) -> ReceiverServer:
    """Return the receiver of *component* with its publishers; nothing is opened, apart from what a constructor opens.

    Raises:
        ComponentError: a class cannot be loaded or built; the text says why.
    """
    publishers = [_publisher(settings, component) for settings in component.publishers]
    cls = registry.receiver_class(component.receiver.class_name)
    receiver: ReceiverServer = _construct(
        cls, component.receiver.options, component, {"publishers": publishers, "name": component.name}
    )
    receiver.stop_timeout_s = component.daemon.stop_timeout_s
    receiver.silent_after_s = component.daemon.silent_after_s
    receiver.monitor_address = component.daemon.monitor
    receiver.decimation = component.decimation
    return receiver


def prepare(component: ComponentSettings, command_address: str | None) -> ReceiverServer:
    """Return the receiver of *component*, which is to answer commands at *command_address*; its log says so.

    Raises:
        ComponentError: a class cannot be loaded or built; the text says why.
    """
    receiver = build(component)
    receiver.command_address = command_address
    _LOG.info("starting %s from %s", component.name, component.file)
    return receiver


def _publisher(settings: PublisherSettings, component: ComponentSettings) -> Publisher:
    cls = registry.publisher_class(settings.class_name)
    publisher: Publisher = _construct(cls, settings.options, component, {"name": settings.name})
    if settings.overflow is not None:
        publisher.overflow = settings.overflow
    if settings.queue_packets is not None:
        publisher.queue_packets = settings.queue_packets
    if settings.queue_mb is not None:
        publisher.queue_mb = settings.queue_mb
    if settings.streams:
        publisher.streams = settings.streams
    return publisher


def _construct(
    cls: type[Any], options: Mapping[str, Any], component: ComponentSettings, given: Mapping[str, Any]
) -> Any:
    """Return an instance of *cls* made of *options* and of what its signature asks the framework for."""
    offered = {"station": component.station, "logger": None, "loop": None, **given}
    wanted = supplied(cls)
    try:
        return cls(**options, **{key: value for key, value in offered.items() if key in wanted})
    except (OSError, ValueError) as error:  # zmq.ZMQError is an OSError: some bind a socket of theirs at once
        raise ComponentError(f"{cls.__name__} cannot be built: {getattr(error, 'strerror', None) or error}") from error


def spare_collector() -> None:
    """Let Python look for garbage rarely; called once everything is built. See ``docs/decisions/garbage.md``."""
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
