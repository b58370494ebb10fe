"""From settings to a running component: the only place where receivers and publishers meet."""

import gc
import logging
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from rawdaq.config import registry
from rawdaq.config.options import supplied
from rawdaq.config.settings import ComponentSettings, PublisherSettings
from rawdaq.errors import ComponentError
from rawdaq.messages import Kind, topic_of
from rawdaq.publisher import Publisher
from rawdaq.receiver_server import ReceiverServer
from rawdaq.streams.state_of_health import StateOfHealth
from rawdaq.streams.trigger.messages import EventTrigger

_LOG = logging.getLogger("rawdaq.station")

#: The collector looks at new objects after so many more of them, and a tenth as often at older ones.
_COLLECT_AFTER = (50_000, 10, 10)


#: Settings of a process that can change while it runs.
_LIVE = ("log_level", "log_format", "stop_timeout_s")


class Changes(NamedTuple):
    """What a reload did.

    Attributes:
        added: names of publishers.
        changed: names of publishers that are others now.
        removed: names of publishers.
        failures: what went wrong, in words.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    failures: tuple[str, ...]


def build(component: ComponentSettings) -> ReceiverServer:
    """Return the receiver of *component* with its publishers; nothing is opened but what a constructor opens.

    Raises:
        ComponentError: a class cannot be loaded or built; the text says why.
    """
    publishers = [_publisher(settings, component) for settings in component.publishers]
    cls = registry.installed_class("receiver", component.receiver.class_name)
    receiver: ReceiverServer = _construct(
        cls, component.receiver.options, component, {"publishers": publishers, "name": component.name}
    )
    receiver.stop_timeout_s = component.daemon.stop_timeout_s
    receiver.silent_after_s = component.daemon.silent_after_s
    receiver.stats.latency_limit_s = component.daemon.latency_limit_s
    receiver.key = component.key
    receiver.monitor_address = component.daemon.monitor
    receiver.decimation = component.decimation
    receiver.journal = component.journal
    if component.trigger is not None:
        topic = topic_of(Kind.EVENT, component.station, component.name)
        receiver.trigger = EventTrigger(component.trigger, topic, receiver.log)
        receiver.trigger.open()  # not in the event loop: that takes most of a second
    if (asked := component.state_of_health) is not None:
        receiver.state_of_health = StateOfHealth(asked.every_s, asked.names(component.station))
    return receiver


def prepare(component: ComponentSettings, command_address: str | None) -> ReceiverServer:
    """Return the receiver of *component*, which answers commands at *command_address*; logs that it starts.

    Raises:
        ComponentError: a class cannot be loaded or built; the text says why.
    """
    receiver = build(component)
    receiver.command_address = command_address
    _LOG.info("starting %s from %s", component.name, component.file)
    return receiver


def check_reload(running: ComponentSettings, wanted: ComponentSettings) -> None:
    """Refuse *wanted* when a component that runs with *running* cannot become that without a restart.

    Raises:
        ComponentError: the text names the blocks.
    """
    daemon = {name: getattr(running.daemon, name) for name in type(running.daemon).model_fields if name not in _LIVE}
    blocks = [each.name for each in fields(running) if each.name not in ("publishers", "daemon", "file")]
    changed = [name for name in blocks if getattr(running, name) != getattr(wanted, name)]
    changed += [f"daemon.{name}" for name, value in daemon.items() if getattr(wanted.daemon, name) != value]
    if changed:
        raise ComponentError(f"nothing is changed: {', '.join(changed)} cannot be while it runs; restart it")


async def reload(receiver: ReceiverServer, running: ComponentSettings, wanted: ComponentSettings) -> Changes:
    """Let *receiver*, which runs with *running*, have the publishers of *wanted*; the others are not touched.

    Raises:
        ComponentError: nothing is changed; a publisher cannot be built, or something else differs.
    """
    check_reload(running, wanted)
    before = {each.name: each for each in running.publishers}
    after = {each.name: each for each in wanted.publishers}
    removed = tuple(name for name in before if name not in after)
    changed = tuple(name for name in after if name in before and before[name] != after[name])
    added = tuple(name for name in after if name not in before)
    coming = [_publisher(after[name], wanted) for name in (*changed, *added)]
    failures = await receiver.exchange([*removed, *changed], coming) if removed or coming else []
    receiver.stop_timeout_s = wanted.daemon.stop_timeout_s
    return Changes(added, changed, removed, tuple(failures))


def _publisher(settings: PublisherSettings, component: ComponentSettings) -> Publisher:
    cls = registry.installed_class("publisher", settings.class_name)
    publisher: Publisher = _construct(cls, settings.options, component, {"name": settings.name})
    if settings.overflow is not None:
        publisher.overflow = settings.overflow
    if settings.queue_packets is not None:
        publisher.queue_packets = settings.queue_packets
    if settings.queue_mb is not None:
        publisher.queue_mb = settings.queue_mb
    if settings.streams:
        publisher.streams = settings.streams
    if settings.kinds:
        publisher.kinds = settings.kinds
    return publisher


def _construct(
    cls: type[Any], options: Mapping[str, Any], component: ComponentSettings, given: Mapping[str, Any]
) -> Any:
    """Return an instance of *cls* made of *options* and of what the framework supplies to its parameters."""
    offered = {"station": component.station, "logger": None, "loop": None, **given}
    expected = supplied(cls)
    try:
        return cls(**options, **{key: value for key, value in offered.items() if key in expected})
    except (OSError, ValueError) as error:  # zmq.ZMQError is an OSError: some bind a socket at once
        raise ComponentError(f"{cls.__name__} cannot be built: {getattr(error, 'strerror', None) or error}") from error


def spare_collector() -> None:
    """Make Python's garbage collector run rarely, once everything is built; see ``docs/decisions/garbage.md``."""
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
