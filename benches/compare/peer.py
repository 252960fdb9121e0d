"""What the peers' processes have in common: their command line, the works' parameters, and what they print."""

import argparse
import datetime
import json
import os
import sys
import time

# W2's filter, that of `tidemill bench --works w2`.
FILTER = """balance BETWEEN 300 AND 500 AND ltv >= 1000 AND tier = 'gold' AND created_at > DATE '2020-01-01'"""

# W3a extends lots that expire from so many days after now to so many by so many months.
RANGE_DAYS = (300, 1200)
EXTENDED_MONTHS = 60

# W3c runs so many days later, when the lots of every tenth customer are over.
EXPIRE_DAYS = 10


def day(now, days):
    """The day so many days after now."""
    return (now + datetime.timedelta(days=days)).date()


def last_day(base, months):
    """The last day of so many months of which `base` is the first day: the day before the same day of the month, but
    the month's last day where `base` is its month's last, or where the month has no such day."""
    at = base.year * 12 + base.month - 1 + months
    year, month = divmod(at, 12)

    def days_in(year, month):
        return (datetime.date(year + month // 12, month % 12 + 1, 1) - datetime.timedelta(days=1)).day

    days = days_in(year, month + 1)
    if base.day == days_in(base.year, base.month) or base.day > days:
        return datetime.date(year, month + 1, days)
    return datetime.date(year, month + 1, base.day) - datetime.timedelta(days=1)


def sync(path):
    """Makes a report durable, and its name."""
    for name in (path, os.path.dirname(os.path.abspath(path))):
        handle = os.open(name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def main(works, open_store):
    """Runs the work that the command line names in a store, and prints its counts and the time until durable."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=sorted(works))
    parser.add_argument("--store", required=True, help="the database's directory, or how to connect")
    parser.add_argument("--inputs", required=True, help="where the generated files are")
    parser.add_argument("--now", required=True, type=datetime.datetime.fromisoformat)
    parser.add_argument("--out", help="the report or export to write")
    parser.add_argument("--memory-limit")
    args = parser.parse_args()
    args.input = lambda name: os.path.abspath(os.path.join(args.inputs, name))
    store = open_store(args)
    begun = time.perf_counter()
    result = works[args.work](store, args) or {}
    result.setdefault("inside_s", time.perf_counter() - begun)
    store.close()
    json.dump(result, sys.stdout)
