"""The peers follow the rules, and results are rendered as they are. `python3 -m unittest discover benches/compare`."""

import csv
import datetime
import importlib.machinery
import importlib.util
import os
import random
import sys
import tempfile
import types
import unittest
from xml.etree import ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import chart  # noqa: E402
import peer  # noqa: E402
import render  # noqa: E402

try:
    import duckdb  # noqa: F401

    import peer_duckdb
except ImportError:
    peer_duckdb = None
try:
    import psycopg  # noqa: F401

    import engines
    import peer_postgres
except ImportError:
    peer_postgres = None

LOADER = importlib.machinery.SourceFileLoader("compare_command", os.path.join(HERE, "compare"))
compare = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare_command", LOADER))
LOADER.exec_module(compare)

CUSTOMERS = 40


def email(n):
    return f"person{n}@example.com"


def mobile(n):
    return f"+9160000000{n:02}"


def write_inputs(directory, seed):
    """Customers and points with every sort of bad row, and mostly debits; returns the rows and the opening balances."""
    numbers = random.Random(seed)
    opening = {n: numbers.choice([0, 0, 5, 20]) for n in range(CUSTOMERS)}
    with open(os.path.join(directory, "customers.csv"), "w", encoding="utf-8") as out:
        out.write("user_id,external_id,email,mobile,card,name,birthday,gender,consent,tier,ltv,orders,created_at,balance\n")
        for n, balance in opening.items():
            shown = balance or ""
            out.write(f"u{n:04},x{n},{email(n)},{mobile(n)},c{n},Ada,1990-01-01,female,,gold,12.50,3,2021-01-01,{shown}\n")
    rows = []
    for _ in range(600):
        n = numbers.randrange(CUSTOMERS)
        row = [email(n), "", str(numbers.randrange(0, 9)), numbers.choice(["", "CR", "DR", "DR", "dr"])]
        if numbers.random() < 0.3:
            row[:2] = ["", mobile(n)]
        if numbers.random() < 0.2:
            row = numbers.choice([
                ["nobody@example.com", "", "1", ""],
                [email(n), mobile((n + 1) % CUSTOMERS), "1", ""],
                [email(n).upper(), mobile(n), "1", "CR"],
                ["", "", "1", "CR"],
                ["nonsense", "", "1", ""],
                [email(n), "", "52,620", ""],
                [email(n), "", "5.5", ""],
                [email(n), "", "1e2", ""],
                [email(n), "", "007", "CR"],
                [email(n), "", "", ""],
                [email(n), "", "1", "XX"],
                [email(n), "", "1"],
                [email(n), "", "1", "", ""],
            ])
        rows.append(row)
    with open(os.path.join(directory, "points.csv"), "w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([["email", "mobile", "amount", "operation"], *rows])
    return rows, opening


def answers(rows, opening):
    """What must become of the rows, by the rules as one would say them: (line, status, code, amount, balance)."""
    balances = dict(opening)
    by = {email(n): n for n in opening} | {mobile(n): n for n in opening}
    found = []
    for line, row in enumerate(rows, 2):

        def refused(code):
            found.append((str(line), "rejected", code, "", ""))

        if len(row) != 4:
            refused("row_malformed")
            continue
        mail, phone, amount, operation = row
        known = {by[name] for name in (mail.lower(), phone) if name in by}
        if not mail and not phone:
            refused("identifier_missing")
        elif mail and "@" not in mail:
            refused("identifier_invalid")
        elif not amount:
            refused("amount_missing")
        elif not amount.isdigit():
            refused("amount_invalid")
        elif operation.upper() not in ("", "CR", "DR"):
            refused("operation_invalid")
        elif not known:
            refused("identifier_unknown")
        elif len(known) > 1:
            refused("identifier_conflict")
        else:
            (n,) = known
            signed = -int(amount) if operation.upper() == "DR" else int(amount)
            if balances[n] + signed < 0:
                refused("insufficient_balance")
                continue
            balances[n] += signed
            found.append((str(line), "applied" if signed else "unchanged", "", str(signed), str(balances[n])))
    return found, balances


def read(path, *names):
    with open(path, encoding="utf-8", newline="") as file:
        return [tuple(row[name] for name in names) for row in csv.DictReader(file)]


class Peers(unittest.TestCase):
    def check(self, store, works, directory):
        """Does W0 and W1 in a store, and compares every row's answer and the balances with the plain rules."""
        rows, opening = write_inputs(directory, seed=7)
        args = types.SimpleNamespace(
            store=directory,
            now=datetime.datetime(2026, 1, 31, 12),
            input=lambda name: os.path.join(directory, name),
            out=os.path.join(directory, "out.csv"),
        )
        self.assertEqual(works["w0"](store, args)["applied"], CUSTOMERS)
        counts = works["w1"](store, args)
        expected, balances = answers(rows, opening)
        self.assertEqual(read(args.out, "line", "status", "code", "amount", "balance"), expected)
        for status in ("applied", "rejected", "unchanged"):
            self.assertEqual(counts[status], sum(row[1] == status for row in expected), status)
            self.assertGreater(counts[status], 0)
        self.assertGreater(sum(row[2] == "insufficient_balance" for row in expected), 50)
        works["balances"](store, args)
        shown = {user: int(balance) for user, balance in read(args.out, "user_id", "balance")}
        self.assertEqual(shown, {f"u{n:04}": balance for n, balance in balances.items()})

    @unittest.skipIf(peer_duckdb is None, "duckdb is not installed")
    def test_duckdb_answers_every_row_by_the_rules(self):
        with tempfile.TemporaryDirectory() as directory:
            args = types.SimpleNamespace(store=directory, memory_limit=None)
            store = peer_duckdb.open_store(args)
            self.check(store, peer_duckdb.WORKS, directory)
            store.close()

    @unittest.skipIf(peer_postgres is None, "psycopg is not installed")
    def test_postgres_answers_every_row_by_the_rules(self):
        try:
            programs = compare.postgres_programs(None)
        except SystemExit as missing:
            self.skipTest(str(missing))
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o777)
            home = os.path.join(directory, "home")
            os.mkdir(home)
            server = engines.Postgres(programs, "postgres")
            server.options["shared_buffers"] = "64MB"
            server.begin(home)
            try:
                store = peer_postgres.Store(server.conninfo)
                self.check(store, peer_postgres.WORKS, directory)
                store.close()
            finally:
                server.end()


class Days(unittest.TestCase):
    def test_months_are_added_as_tidemill_adds_them(self):
        for base, months, expected in (
            ("2021-08-01", 24, "2023-07-31"),
            ("2021-08-01", 12, "2022-07-31"),
            ("2022-07-31", 12, "2023-07-31"),
            ("2021-08-31", 2, "2021-10-31"),
            ("2021-11-30", 3, "2022-02-28"),
            ("2026-11-25", 60, "2031-11-24"),
        ):
            found = peer.last_day(datetime.date.fromisoformat(base), months)
            self.assertEqual(found.isoformat(), expected, base)


def found(median_s):
    return {
        "median_s": median_s,
        "min_s": median_s,
        "max_s": median_s,
        "inside_s": median_s,
        "cpu_s": median_s,
        "cores_busy": 0.5,
        "memory_peak_bytes": 1_000_000_000,
        "runs": [],
    }


def results(duckdb_w1_s):
    """A small document such as `compare` writes."""
    series = {
        "customers": 10_000_000,
        "rows": 10_000_000,
        "seed": 1,
        "runs": 5,
        "disk_bytes_per_s": [1e9, 9e8],
        "has_warm_memory": True,
        "load_average": [2.0, 2.0, 2.0],
        "works": {
            "start": {"rows": 0, "engines": {"tidemill": found(0.02), "DuckDB": found(0.15)}},
            "w1": {"rows": 10_000_000, "engines": {"tidemill": found(2.0), "DuckDB": found(duckdb_w1_s)}},
        },
    }
    small = {
        **series,
        "customers": 1_000_000,
        "rows": 1_000_000,
        "works": {"w1": {"rows": 1_000_000, "engines": {"tidemill": found(0.5), "Postgres": found(10.0)}}},
    }
    versions = {"tidemill": "0.1.0", "DuckDB": "2.0.1", "Postgres": "15.1"}
    machine = {"cores": 2, "processor": "P<1>", "memory_bytes": 1 << 34, "system": "Linux", "file_system": "ext", "python": "3"}
    return {
        "made": "2026-11-25",
        "machine": machine,
        "engines": {name: {"version": version, "settings": []} for name, version in versions.items()},
        "series": [series, small],
    }


class Rendering(unittest.TestCase):
    def test_a_peer_is_compared_with_tidemill_at_its_own_size(self):
        table = render.table(results(duckdb_w1_s=13.0))
        self.assertIn("| 5.00 million/s | 769 thousand/s | 6.5 | 100 thousand/s | 20 |", table)

    def test_the_text_says_where_a_peer_wins(self):
        self.assertIn("No peer wins in these works.", render.summary(results(duckdb_w1_s=13.0)))
        self.assertIn("Where a peer wins, or is as fast: DuckDB is 2.0 times as fast in W1.", render.summary(results(duckdb_w1_s=1.0)))

    def test_the_text_says_where_a_peer_wins_but_for_its_start(self):
        self.assertIn("Without it a peer wins, or is as fast: DuckDB in W1 (2 s, tidemill 1.98 s).", render.summary(results(duckdb_w1_s=2.15)))
        self.assertNotIn("Without it", render.summary(results(duckdb_w1_s=13.0)))

    def test_only_what_stands_between_the_marks_is_replaced(self):
        document = "a\n<!-- compare:begin -->\nold\n<!-- compare:end -->\nb\n"
        once = render.between_marks(document, "new")
        self.assertEqual(once, "a\n<!-- compare:begin -->\nnew\n<!-- compare:end -->\nb\n")
        self.assertEqual(render.between_marks(once, "new"), once)
        with self.assertRaises(SystemExit):
            render.between_marks("no marks", "new")

    def test_the_chart_is_well_formed_and_has_a_bar_for_each_engine(self):
        document = chart.svg(render.bars(results(duckdb_w1_s=13.0)), "caption & <more>")
        root = ElementTree.fromstring(document)
        classes = [bar.get("class") for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertEqual(classes, ["page", "tidemill", "duckdb", "postgres"])

    def test_engines_that_disagree_end_the_comparison(self):
        compare.same("balances", {"a": "1", "b": "1"})
        with self.assertRaises(SystemExit):
            compare.same("balances", {"a": "1", "b": "2"})


if __name__ == "__main__":
    unittest.main()
