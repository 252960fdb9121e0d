"""`scripts/bench-compare`: what it takes for a loss. `python3 -m unittest discover scripts` runs these."""

import contextlib
import copy
import importlib.machinery
import importlib.util
import io
import json
import os
import tempfile
import unittest

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench-compare")
LOADER = importlib.machinery.SourceFileLoader("bench_compare", PATH)
bench_compare = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_compare", LOADER))
LOADER.exec_module(bench_compare)

REPORT = {
    "schema": 1,
    "machine": {"cores": 2},
    "load": {"customers": 10, "rows": 10, "seed": 1},
    "works": [
        {"work": "w0", "runs_s": [1.0, 1.1, 0.9], "median_s": 1.0},
        {"work": "w1", "runs_s": [2.0, 2.0, 2.0], "median_s": 2.0},
    ],
}


def slower(work, rate):
    """The report with the work's rate multiplied."""
    report = copy.deepcopy(REPORT)
    for found in report["works"]:
        if found["work"] == work:
            found["median_s"] /= rate
    return report


def run(base, head, *flags):
    """The exit code, and what was printed."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for name, report in (("base.json", base), ("head.json", head)):
            paths.append(os.path.join(directory, name))
            with open(paths[-1], "w", encoding="utf-8") as file:
                json.dump(report, file)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = bench_compare.main([*paths, *flags])
        return code, out.getvalue()


class Losses(unittest.TestCase):
    def test_the_same_report_passes(self):
        self.assertEqual(run(REPORT, REPORT)[0], 0)

    def test_ten_percent_slower_passes(self):
        self.assertEqual(run(REPORT, slower("w1", 0.9))[0], 0)

    def test_twenty_percent_slower_fails_and_names_the_work(self):
        code, text = run(REPORT, slower("w1", 0.8))
        self.assertEqual(code, 1)
        self.assertIn("| w1 | 2.0000 s | 2.5000 s | -20.0 % LOSS |", text)
        self.assertIn("| w0 | 1.0000 s | 1.0000 s | +0.0 % |", text)

    def test_the_allowed_loss_can_be_chosen(self):
        self.assertEqual(run(REPORT, slower("w1", 0.9), "--loss-max", "0.05")[0], 1)
        self.assertEqual(run(REPORT, slower("w1", 0.8), "--loss-max", "0.25")[0], 0)

    def test_faster_passes(self):
        self.assertEqual(run(REPORT, slower("w0", 3.0))[0], 0)

    def test_a_work_that_the_head_lacks_fails(self):
        head = copy.deepcopy(REPORT)
        del head["works"][1]
        code, text = run(REPORT, head)
        self.assertEqual(code, 1)
        self.assertIn("| w1 | 2.0000 s |  | missing |", text)

    def test_a_work_that_only_the_head_has_is_new(self):
        base = copy.deepcopy(REPORT)
        del base["works"][1]
        code, text = run(base, REPORT)
        self.assertEqual(code, 0)
        self.assertIn("| w1 |  | 2.0000 s | new |", text)

    def test_only_the_named_works_count(self):
        self.assertEqual(run(REPORT, slower("w1", 0.5), "--only", "w0")[0], 0)
        self.assertEqual(run(REPORT, REPORT, "--only", "w9")[0], 2)

    def test_reports_that_say_nothing_about_each_other_are_refused(self):
        for key, value in (("schema", 2), ("load", {"customers": 11, "rows": 10, "seed": 1}), ("machine", {"cores": 4})):
            self.assertEqual(run(REPORT, {**REPORT, key: value})[0], 2, key)

    def test_runs_in_turns_are_put_together(self):
        other = copy.deepcopy(REPORT)
        other["works"][0]["runs_s"] = [3.0, 3.0, 3.0, 3.0]
        merged = bench_compare.merged([copy.deepcopy(REPORT), other])
        self.assertEqual(merged["works"][0]["median_s"], 3.0)
        self.assertEqual(len(merged["works"][0]["runs_s"]), 7)

    def test_two_programs_are_run_in_turns(self):
        with tempfile.TemporaryDirectory() as directory:
            log = os.path.join(directory, "log")
            for name, report in (("base", REPORT), ("head", slower("w1", 0.5))):
                with open(os.path.join(directory, name), "w", encoding="utf-8") as program:
                    program.write(f"#!/bin/sh\necho {name} $* >> {log}\necho '{json.dumps(report)}'\n")
                os.chmod(os.path.join(directory, name), 0o755)
            programs = [os.path.join(directory, name) for name in ("base", "head")]
            with contextlib.redirect_stderr(io.StringIO()):
                base, head = bench_compare.run_in_turns(programs, 2, ["--works", "w0,w1"])
            with open(log, encoding="utf-8") as lines:
                order = [line.split()[0] for line in lines]
            self.assertEqual(order, ["base", "head", "head", "base"])
            self.assertEqual((len(base["works"][0]["runs_s"]), len(head["works"][1]["runs_s"])), (6, 6))


if __name__ == "__main__":
    unittest.main()
