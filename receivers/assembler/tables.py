"""What commands show of an assembly."""

import time
from collections.abc import Sequence

import numpy as np

from rawdaq.receivers.assembler.intake import Origin
from rawdaq.streams.assembly.assembly import Assembly
from rawdaq.streams.assembly.senders import Sender, State
from rawdaq.streams.assembly.values import WHOLE
from rawdaq.times import NS_PER_S

_SHOWN_SENDERS = 40


def sender_table(assembly: Assembly, origins: Sequence[Origin | None]) -> dict[str, dict[str, object]]:
    """Return what is known of each slot."""
    now_ns = time.monotonic_ns()
    shown = [sender for sender in assembly.senders if sender.slot in assembly.used]
    return {str(sender.slot): _row(sender, origins[sender.slot], now_ns) for sender in shown}


def _row(sender: Sender, origin: Origin | None, now_ns: int) -> dict[str, object]:
    is_silent = sender.state is State.ABSENT
    delay_ns = origin.delay_ns if origin else None
    return {
        "sender": origin.name if origin else None,
        "state": sender.state.name.lower(),
        "packets": origin.packets if origin else 0,
        "malformed": origin.malformed if origin else 0,
        "parts": sender.parts,
        "in_readouts": sender.in_readouts,
        "copies": sender.copies,
        "conflicts": sender.conflicts,
        "late": sender.late,
        "astray": sender.astray,
        "missing": sender.missing,
        "newest_ns": sender.newest_ns,
        "arrival_minus_time_s": None if delay_ns is None else round(delay_ns / NS_PER_S, 6),
        "absent_s": round((now_ns - sender.heard_ns) / NS_PER_S, 3) if is_silent else None,
    }


def assembly_status(assembly: Assembly, suppressed: int) -> dict[str, object]:
    """Return the counters of an assembly."""
    incomplete = {reason.value: count for reason, count in assembly.by_reason.items() if reason not in WHOLE}
    missing = {str(sender.slot): sender.missing for sender in assembly.senders if sender.missing}
    return {
        "readouts": assembly.readouts,
        "next_number": assembly.next_number,
        "epoch": assembly.epoch,
        "complete": sum(assembly.by_reason[reason] for reason in WHOLE),
        "incomplete": incomplete,
        "late_readouts": assembly.late_readouts,
        "suppressed": suppressed,
        "open_readouts": assembly.open_groups,
        "missing": dict(sorted(missing.items(), key=lambda item: -item[1])[:_SHOWN_SENDERS]),
        "waiting_s": _percentiles(list(assembly.waits_ns)),
        "parts": assembly.totals(),
    }


def _percentiles(waits_ns: Sequence[int]) -> dict[str, float]:
    if not waits_ns:
        return {}
    p50, p99 = np.percentile(waits_ns, (50, 99)) / NS_PER_S
    return {"p50": round(float(p50), 6), "p99": round(float(p99), 6)}
