"""A configuration: a value for each key, all checked together, so that a request is applied whole or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rawdaq.config.registry import suggestion
from rawdaq.control.repeater.values import OF_OUTPUT, SHARED, as_list
from rawdaq.publishers.repeater import WRITER, Mode, parameter_mistake

#: Lists that a configuration with outputs cannot do without.
_NEEDED = ("send_output_mode", "send_output_param")

#: Names a value of an output in a mistake: by key, value and number of the output.
Label = Callable[[str, Any, int], str]


class Mistaken(Exception):
    """A configuration that cannot be; carries every mistake.

    Args:
        mistakes: one line for each.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "; ".join(self.mistakes)


@dataclass(frozen=True, slots=True)
class Output:
    """What one output is to be.

    Attributes:
        name: its name.
        port: where consumers connect; 0: the system chooses.
        options: the other arguments of its `rawdaq.publishers.repeater.RepeaterPublisher`.
        overflow: what happens when too much waits.
    """

    name: str
    port: int
    options: Mapping[str, Any]
    overflow: str

    @property
    def has_writer_header(self) -> bool:
        """Whether the detector writer reads it."""
        return (self.options["header"] or self.name) == WRITER


def _defaults() -> dict[str, Any]:
    shared = {key: default for key, (_, default) in SHARED.items()}
    return shared | dict.fromkeys(OF_OUTPUT) | {"topics": []}


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration; it is complete when `outputs` does not raise.

    Attributes:
        values: a value for each key; those of outputs are lists, or None where nothing was said.
    """

    values: Mapping[str, Any] = field(default_factory=_defaults)

    def changed(self, changes: Mapping[str, Any], label: Label | None = None) -> "Config":
        """Return this configuration with *changes*; the result is complete.

        Args:
            changes: keys and values; lists replace whole lists.
            label: names values of outputs in mistakes.

        Raises:
            Mistaken: a value or the whole cannot be.
        """
        mistakes: list[str] = []
        values = dict(self.values)
        for key, value in changes.items():
            if key in SHARED and not (key == "frame_block" and isinstance(value, list)):
                _check_shared(key, value, values, mistakes)
            elif key in OF_OUTPUT or key == "frame_block":
                values["frame_blocks" if key == "frame_block" else key] = value
            elif key != "n_output_streams":
                known = (*SHARED, *(each for each in OF_OUTPUT if each != "frame_blocks"), "n_output_streams")
                mistakes.append(f"{key} is not a key of the configuration; {suggestion(key, known)}")
        made = Config(values)
        checked = _Outputs(values, label)
        mistakes += checked.mistakes
        if "n_output_streams" in changes and changes["n_output_streams"] != checked.count:
            shown = changes["n_output_streams"]
            mistakes.append(f"n_output_streams {shown!r} is not the number of entries of the lists, {checked.count}")
        mistakes += made.shared_mistakes(is_address_given="in_address" in changes)
        if mistakes:
            raise Mistaken(mistakes)
        return Config(values | checked.lists)

    def shared_mistakes(self, *, is_address_given: bool) -> list[str]:
        """Return what is wrong with the whole; an address that was given and cannot be is not missing."""
        values, mistakes = self.values, list[str]()
        if values["in_address"] is None:
            missing = "in_address is missing; it should look like tcp://192.0.2.5:9609"
            mistakes += [] if is_address_given else [missing]
        elif not values["in_bind"] and any("*" in address for address in self.in_addresses):
            mistakes.append(f"in_address {values['in_address']!r} names no machine; or set in_bind: true")
        if values["topics"] and values["in_zmq_mode"] != "SUB":
            mistakes.append("topics are what SUB subscribes to; PULL gets everything")
        return mistakes

    @property
    def in_addresses(self) -> list[str]:
        """Where frames come from."""
        address: str | list[str] = self.values["in_address"]
        return address if isinstance(address, list) else [address]

    @property
    def count(self) -> int:
        """How many outputs there are."""
        return len(self.values["send_output_mode"] or ())

    @property
    def names(self) -> list[str]:
        """The names of the outputs."""
        return self.values["stream_names"] or [f"output_{index}" for index in range(self.count)]

    def outputs(self) -> list[Output]:
        """Return the outputs of a complete configuration."""
        return [self._output(index, name) for index, name in enumerate(self.names)]

    def _output(self, index: int, name: str) -> Output:
        values = self.values
        one = {key: _entry(values[key], index, default) for key, (_, default) in OF_OUTPUT.items()}
        options: dict[str, Any] = {key: one[key] for key in ("send_output_mode", "send_output_param", "origin")}
        options |= {key: one[key] for key in ("header", "n_images_end", "address")}
        options |= {
            "zmq_mode": one["zmq_modes"],
            "frame_block": one["frame_blocks"] or values["frame_block"],
            "buffer_size": values["buffer_size"],
            "buffer_mb": values["buffer_mb"] / self.count,
        }
        return Output(name, one["stream_ports"], options, one["overflow"])

    def shown(self) -> dict[str, Any]:
        """Return what a status shows: a value for each key."""
        values = self.values
        lists = {key: values[key] for key in OF_OUTPUT if values[key] is not None}
        needed: dict[str, Any] = {
            key: [] for key in ("send_output_mode", "send_output_param", "stream_ports", "zmq_modes")
        }
        if blocks := lists.pop("frame_blocks", None):
            lists["frame_block"] = blocks
        names = {"n_output_streams": self.count, "stream_names": self.names}
        return {**{key: values[key] for key in SHARED}, **needed, **lists, **names}


def _check_shared(key: str, value: Any, values: dict[str, Any], mistakes: list[str]) -> None:
    try:
        values[key] = SHARED[key][0](value)
    except ValueError as error:
        mistakes.append(_mistake(f"{key} {_short(value)}", error))


def _mistake(what: str, error: ValueError) -> str:
    """Return one line; errors of addresses name the value themselves."""
    reason = str(error)
    return f"{what} {reason}" if reason.startswith(("is ", "has ")) else f"{what.partition(' ')[0]}: {reason}"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 75 else f"{shown[:74]}…"


def _entry(values: list[Any] | None, index: int, default: Any) -> Any:
    value = None if values is None else values[index]
    return default if value is None else value


class _Outputs:
    """Checks the lists of a configuration, each entry and all of them together.

    Attributes:
        count: how many outputs they describe.
        lists: the entries as they are kept.
        mistakes: what is wrong.
    """

    def __init__(self, values: Mapping[str, Any], label: Label | None) -> None:
        self.mistakes: list[str] = []
        self.lists: dict[str, list[Any] | None] = {}
        self._values = values
        self._label = label or self._default_label
        given = {key: values[key] for key in OF_OUTPUT if values[key] is not None}
        sizes = [len(entries) for each in given.values() if (entries := as_list(each)) is not None]
        self.count = max(sizes, default=0)
        if not self.count:
            self.mistakes.append("there is no output: send_output_mode, send_output_param and stream_ports are needed")
            return
        self.mistakes += [
            f"{key} is missing: a list with an entry for each output" for key in _NEEDED if key not in given
        ]
        for key, each in given.items():
            self.lists[key] = self._list(key, each)
        if not self.mistakes:
            self._check_together()

    def _default_label(self, key: str, value: Any, index: int) -> str:
        names = as_list(self._values["stream_names"]) or []
        is_named = key != "stream_names" and index < len(names)
        return f"{key} {_short(value)} of output {names[index] if is_named else f'output_{index}'}"

    def _list(self, key: str, given: Any) -> list[Any]:
        check, default = OF_OUTPUT[key]
        entries = as_list(given)
        if entries is None:
            self.mistakes.append(f"{key} {_short(given)} is not a list with an entry for each output")
            return []
        if len(entries) != self.count:
            self.mistakes.append(f"{key} has {len(entries)} entries, another list {self.count}: each output needs one")
        kept: list[Any] = []
        is_optional = key not in _NEEDED and key != "stream_names"
        for index, value in enumerate(entries):
            try:
                kept.append(default if value is None and is_optional else check(value))
            except ValueError as error:
                self.mistakes.append(_mistake(self._label(key, value, index), error))
        return kept

    def _check_together(self) -> None:
        made = Config(dict(self._values) | self.lists)
        seen_names: set[str] = set()
        seen_ports: set[int] = set()
        for index, output in enumerate(made.outputs()):
            options, port = output.options, output.port
            mode, parameter = Mode(options["send_output_mode"]), options["send_output_param"]
            if reason := parameter_mistake(mode, parameter, options["frame_block"]):
                self.mistakes.append(f"{self._label('send_output_param', parameter, index)} {reason}")
            if output.name in seen_names:
                self.mistakes.append(f"{self._label('stream_names', output.name, index)} is there twice")
            if port and port in seen_ports:
                self.mistakes.append(f"{self._label('stream_ports', port, index)} is what another output has")
            if options["address"] is not None and port:
                self.mistakes.append(f"{self._label('stream_ports', port, index)} has an address too: remove one")
            seen_names.add(output.name)
            seen_ports.add(port)
        if self._values["stream_ports"] is None and self._values["address"] is None:
            self.mistakes.append("stream_ports is missing: a list with a port for each output")
