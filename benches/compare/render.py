"""Writes what a run of the comparison found: the README's table, the details beside this file, and the chart."""

import os

import chart

# What each work is, and whether its rate or its time is what one asks for.
WORKS = {
    "w0": ("W0: customers with five unique identifiers into an empty store", "rate"),
    "w1": ("W1: points by e-mail or mobile, debits never below zero, a line for every row", "rate"),
    "w2a": ("W2a: counting the customers of a filter", "time"),
    "w2b": ("W2b: crediting those", "time"),
    "w2c": ("W2c: crediting everybody", "rate"),
    "w3a": ("W3a: extending the lots of everybody whom a file names", "rate"),
    "w3c": ("W3c: expiring the lots that are over", "rate"),
}
START = "start"
TIDEMILL = "tidemill"

# Times that differ by less than this part are called equal.
EQUAL = 0.05

# The works themselves take one a core. A load average of a minute beyond so many a core is that of a machine with other
# work to do; those of five and fifteen minutes tell what was before.
LOAD_MAX = 2

# Of the whole file that holds them; what is between is written anew.
MARKS = ("<!-- compare:begin -->", "<!-- compare:end -->")


def count(number):
    """`10 million`, `1.5 million`, `250,000`."""
    if number >= 1_000_000:
        return f"{number / 1e6:.4g} million"
    return f"{number:,}"


def rate(number):
    """Per second, in two to three digits."""
    if number >= 1e6:
        return f"{number / 1e6:.2f} million/s"
    return f"{number / 1e3:.3g} thousand/s"


def seconds(number):
    if number < 1:
        return f"{number:.2g} s" if number < 0.1 else f"{number:.2f} s"
    return f"{number:.3g} s"


def times(number):
    return f"{number:.1f}" if number < 20 else f"{number:.0f}"


def speed(work, rows, found):
    """What one reads of a work: rows a second, or how long it took."""
    if WORKS[work][1] == "rate":
        return rate(rows / found["median_s"])
    return seconds(found["median_s"])


def ratio(series, work, name):
    """How many times as long the peer took as tidemill beside it."""
    engines = series["works"][work]["engines"]
    return engines[name]["median_s"] / engines[TIDEMILL]["median_s"]


def columns(results):
    """The peers, each with the series that tells of it: the first that has it."""
    found = {}
    for series in results["series"]:
        for work in series["works"].values():
            for name in work["engines"]:
                if name != TIDEMILL:
                    found.setdefault(name, series)
    return found


def size(series):
    if series["customers"] == series["rows"]:
        return f"{count(series['rows'])} customers and rows"
    return f"{count(series['customers'])} customers, {count(series['rows'])} rows"


def runs(series):
    return "a single run" if series["runs"] == 1 else f"medians of {series['runs']} runs"


def table(results):
    """The README's table."""
    peers = columns(results)
    main = results["series"][0]
    versions = {name: engine["version"] for name, engine in results["engines"].items()}
    head = ["whole processes, median", f"tidemill {versions[TIDEMILL]}"]
    for name, series in peers.items():
        mark = "" if series is main else " ¹"
        head += [f"{name} {versions[name]}{mark}", "times as long"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for work, (what, _) in WORKS.items():
        if work not in main["works"]:
            continue
        rows = main["works"][work]["rows"]
        cells = [what, speed(work, rows, main["works"][work]["engines"][TIDEMILL])]
        for name, series in peers.items():
            of_work = series["works"][work]
            cells += [speed(work, of_work["rows"], of_work["engines"][name]), times(ratio(series, work, name))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def beside(factor):
    """How long a peer took beside tidemill, in words."""
    if abs(factor - 1) < EQUAL:
        return "as fast"
    return f"{times(factor)} times as long" if factor > 1 else f"{times(1 / factor)} times as fast"


def work_name(work):
    return work[:2].upper() + work[2:]


def wins(results):
    """Where a peer is faster, or as fast, in words."""
    return [
        f"{name} is {beside(ratio(series, work, name))} in {work_name(work)}"
        for name, series in columns(results).items()
        for work in WORKS
        if work in series["works"] and ratio(series, work, name) < 1 + EQUAL
    ]


def net_wins(results):
    """The same where what it takes to start a process and open the store is taken off both times: Python's start is no
    merit of tidemill's."""
    found = []
    shown = columns(results)
    # The sizes that the table does not show count, too.
    measured = [series for series in results["series"] if START in series["works"]]
    for series, name in [(series, name) for series in measured for name in series["works"][START]["engines"] if name != TIDEMILL]:
        where = "" if shown.get(name) is series else f" at {size(series)}"
        for work in WORKS:
            if not {work, START} <= set(series["works"]) or ratio(series, work, name) < 1 + EQUAL:
                continue
            peer_s, own_s = (
                series["works"][work]["engines"][engine]["median_s"] - series["works"][START]["engines"][engine]["median_s"]
                for engine in (name, TIDEMILL)
            )
            if peer_s < own_s * (1 + EQUAL):
                found.append(f"{name} in {work_name(work)}{where} ({seconds(peer_s)}, tidemill {seconds(own_s)})")
    return found


def busy(series, work, name):
    return f"{100 * series['works'][work]['engines'][name]['cores_busy']:.0f} %"


def warm_memory(series):
    return ", and memory was touched before each work of each engine" if series.get("has_warm_memory") else ""


def summary(results):
    """The table with what must be known to read it."""
    machine, main = results["machine"], results["series"][0]
    peers = columns(results)
    disk = ", ".join(f"{number / 1e9:.2f}" for number in main["disk_bytes_per_s"])
    parts = [
        f"{size(main)[0].upper()}{size(main)[1:]}, {runs(main)} in turns, whole processes from start to "
        f"end, on {machine['cores']} cores ({machine['processor']}) and {machine['memory_bytes'] / 2**30:.0f} GB in "
        f"{results['made'][:7]}; the disk wrote {disk} GB/s, synced, before and after{warm_memory(main)}.",
        "",
        table(results),
        "",
    ]
    for name, series in peers.items():
        if series is not main:
            parts += [
                f"¹ {name} was measured at {size(series)} ({runs(series)}), beside tidemill at that size: its rates are its "
                "own there, and the times beside them are those of the two at the same size.",
                "",
            ]
    said = []
    load = max(series["load_average"][0] for series in results["series"])
    if load > LOAD_MAX * machine["cores"]:
        said.append(f"Other programs kept the machine busy meanwhile (load average up to {load:.0f}): all are slower for it.")
    found = wins(results)
    said.append(f"Where a peer wins, or is as fast: {'; '.join(found)}." if found else "No peer wins in these works.")
    said.append("What was not compared stands in [benches/compare](benches/compare/README.md).")
    if START in main["works"]:
        starts = [f"{name} {seconds(found['median_s'])}" for name, found in main["works"][START]["engines"].items()]
        said.append(f"Starting a process and opening the store is part of each work: {', '.join(starts)}.")
        net = net_wins(results)
        if net:
            said.append(f"Without it a peer wins, or is as fast: {'; '.join(net)}.")
    if "w2a" in main["works"]:
        counts = [f"{name} {seconds(found['inside_s'])}" for name, found in main["works"]["w2a"]["engines"].items()]
        said.append(f"Of W2a, the count alone: {', '.join(counts)}.")
    for work in ("w0", "w1"):
        if work in main["works"]:
            kept = [f"{name} {busy(main, work, name)}" for name in main["works"][work]["engines"]]
            said.append(f"Cores busy during {work_name(work)}: {', '.join(kept)}.")
    parts.append(" ".join(said))
    return "\n".join(parts)


def details(results):
    """Every number, for the page beside this file."""
    parts = []
    for series in results["series"]:
        disk = ", ".join(f"{number / 1e9:.2f}" for number in series["disk_bytes_per_s"])
        load = ", ".join(str(number) for number in series["load_average"])
        parts += [
            f"### {size(series)[0].upper()}{size(series)[1:]}, {runs(series)}",
            "",
            f"Disk {disk} GB/s synced, before and after{warm_memory(series)}; load average at the end {load}.",
            "",
            "| work | engine | rows | median | min–max | inside | rows/s | processor | cores busy | memory peak | times |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for work, of_work in series["works"].items():
            for name, found in of_work["engines"].items():
                cells = [
                    work,
                    name,
                    f"{of_work['rows']:,}" if of_work["rows"] else "",
                    f"{found['median_s']:.2f} s",
                    f"{found['min_s']:.2f}–{found['max_s']:.2f}",
                    f"{found['inside_s']:.2f} s",
                    f"{of_work['rows'] / found['median_s']:,.0f}" if of_work["rows"] else "",
                    f"{found['cpu_s']:.2f} s",
                    f"{100 * found['cores_busy']:.0f} %",
                    f"{found['memory_peak_bytes'] / 1e9:.2f} GB",
                    "" if name == TIDEMILL else times(ratio(series, work, name)),
                ]
                parts.append("| " + " | ".join(cells) + " |")
        parts.append("")
    machine = results["machine"]
    parts += [
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GB, "
        f"{machine['system']}, {machine['file_system']}, Python {machine['python']}; {results['made']}.",
        "",
    ]
    for name, engine in results["engines"].items():
        settings = f": {', '.join(f'`{setting}`' for setting in engine['settings'])}" if engine["settings"] else ""
        parts.append(f"- {name} {engine['version']}{settings}")
    return "\n".join(parts)


def text(results):
    """For a terminal."""
    return f"{details(results)}\n\n{summary(results)}"


def between_marks(document, content):
    """The document with what stands between the marks replaced."""
    begin, end = MARKS
    before, _, rest = document.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"compare: `{begin}` and `{end}` do not stand in the document")
    return f"{before}{begin}\n{content}\n{end}{after}"


def bars(results):
    """What the chart shows: of each work the engines with their speed, and how long that is beside the fastest."""
    peers = columns(results)
    main = results["series"][0]
    groups = []
    for work, (what, _) in WORKS.items():
        if work not in main["works"]:
            continue
        rows = main["works"][work]["rows"]
        own = main["works"][work]["engines"][TIDEMILL]
        lines = [(TIDEMILL, speed(work, rows, own), 1.0, "")]
        for name, series in peers.items():
            of_work = series["works"][work]
            factor = ratio(series, work, name)
            lines.append((name, speed(work, of_work["rows"], of_work["engines"][name]), 1 / factor, beside(factor)))
        groups.append((what, lines))
    return groups


def write_all(results, root):
    """Writes README.md's table, the details and the chart of the tree at `root`; returns their paths."""
    written = []
    for name, content in (("README.md", summary(results)), ("benches/compare/README.md", details(results))):
        path = os.path.join(root, name)
        with open(path, encoding="utf-8") as file:
            document = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(between_marks(document, content))
        written.append(path)
    path = os.path.join(root, "docs", "compare.svg")
    with open(path, "w", encoding="utf-8") as file:
        file.write(chart.svg(bars(results), title(results)))
    written.append(path)
    return written


def title(results):
    main = results["series"][0]
    lines = [f"{size(main)}, {results['machine']['cores']} cores"]
    for name, series in columns(results).items():
        if series is not main:
            lines.append(f"{name} at {size(series)}")
    return "; ".join(lines)
