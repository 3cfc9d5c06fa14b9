#!/usr/bin/env python3
"""Tests of the harness itself, in seconds: what is no figure is refused, and the file is written whatever happens. Part of .ci/run."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "interop")]
sys.dont_write_bytecode = True

import plot  # noqa: E402
from database import pgbench_rate  # noqa: E402
from figure import Figure, at_least, at_most, over  # noqa: E402
from figures.expiry import p99_between  # noqa: E402
from load import Asked, paced_seen, wrk_rate  # noqa: E402
from processes import Failed  # noqa: E402
from report import Results, short  # noqa: E402

_WRK = {"answers": 500, "seconds": 2.0, "unexpected": 0, "socket_errors": 0, "ran_out": 0, "p99_ms": 1.0, "example": ""}


class WhatIsNoFigure(unittest.TestCase):
    def test_a_clean_run_of_wrk_is_a_rate(self):
        self.assertEqual(wrk_rate("Running 2s test\n" + json.dumps(_WRK) + "\n"), 250)

    def test_one_wrong_answer_of_wrk_is_a_failure(self):
        for wrong in ("unexpected", "socket_errors", "ran_out"):
            with self.assertRaisesRegex(Failed, wrong):
                wrk_rate(json.dumps(_WRK | {wrong: 1}))

    def test_no_answers_and_no_summary_are_failures(self):
        for said in (json.dumps(_WRK | {"answers": 0}), "", "unable to connect"):
            with self.assertRaises(Failed):
                wrk_rate(said)

    def test_one_wrong_answer_at_a_fixed_rate_is_a_failure(self):
        good = {"answers": 10, "unexpected": 0, "example": None}
        self.assertEqual(paced_seen({"a": good}), {"a": good})
        for wrong in ({"unexpected": 1}, {"answers": 0}):
            with self.assertRaises(Failed):
                paced_seen({"a": good, "b": good | wrong})

    def test_pgbench_with_a_failed_transaction_is_a_failure(self):
        def ended(code, failed):
            out = f"number of failed transactions: {failed} (0.000%)\ntps = 123.5 (without initial connection time)\n"
            return subprocess.CompletedProcess([], code, out, "")

        self.assertEqual(pgbench_rate(ended(0, 0)), 123.5)
        for code, failed in ((0, 1), (1, 0)):
            with self.assertRaises(Failed):
                pgbench_rate(ended(code, failed))

    def test_a_sweep_during_which_nothing_was_asked_has_no_latency(self):
        samples = "".join(f"{second} {0.001 * second}\n" for second in range(1, 101))
        self.assertAlmostEqual(p99_between(samples, 1, 100), 99.0)
        self.assertAlmostEqual(p99_between(samples, 10, 10), 11.0)
        with self.assertRaises(Failed):
            p99_between(samples, 200, 300)


class WhatComesOut(unittest.TestCase):
    def test_ratios_and_reaches(self):
        self.assertEqual(over(30.0, 40.0).ratio, 0.75)
        self.assertTrue(at_least(0.75, 0.9).is_met_by(over(30.0, 40.0)))
        self.assertFalse(at_least(0.75, 0.9).is_met_by(over(29.0, 40.0)))
        self.assertTrue(at_most(5, 2).is_met_by(Figure(5.0, "ms")))
        self.assertFalse(at_most(1.5, 1.1, of="times").is_met_by(Figure(9.0, "ms", more={"times": 1.6})))

    def test_the_file_has_figures_and_failures_alike(self):
        results = Results({"commit": "abc"}, {"mint": at_least(0.5, 1.0)})
        results.add({"mint": over(3000.0, 9000.0)})
        results.fail(["decide", "size_10m"], "it broke\nhere")
        with tempfile.TemporaryDirectory() as folder:
            results.write(Path(folder) / "new", {"cost": "<svg/>"})
            document = json.loads((Path(folder) / "new/results.json").read_text())
        self.assertEqual(document["mint"]["floor"], 9000.0)
        self.assertAlmostEqual(document["mint"]["ratio"], 1 / 3)
        self.assertIs(document["mint"]["reached"], False)
        self.assertEqual(document["decide"], {"failed": "it broke here"})
        self.assertEqual(document["about"], {"commit": "abc"})
        self.assertIn("missed", results.table())
        self.assertIn("failed", results.table())

    def test_numbers_are_short(self):
        self.assertEqual([short(number) for number in (None, 12345.6, 0.98765, 0)], ["", "12,346", "0.988", "0"])

    def test_the_picture_is_well_formed(self):
        svg = plot.costs({"a < b": [(1_000, 20.0), (10_000, 21.0)], "c": [(1_000, 20.0), (10_000, 21.0)]}, "stored", "µs")
        self.assertTrue(xml.etree.ElementTree.fromstring(svg).tag.endswith("svg"))

    def test_a_request_says_how_long_it_is(self):
        before, after = Asked(80, "/x", {"A": "b"}, "é={}&c", 3).around()
        head, _, body = before.partition("\r\n\r\n")
        self.assertIn(f"Content-Length: {len((body + 'abc' + after).encode())}", head)

    def test_the_file_is_there_when_nothing_could_be_built(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "cargo").write_text("#!/bin/sh\necho 'no such crate' >&2\nexit 1\n")
            (Path(folder) / "cargo").chmod(0o755)
            env = {**os.environ, "CARGO_TARGET_DIR": folder, "FIGURES": "mint decide", "PATH": f"{folder}:{os.environ['PATH']}"}
            done = subprocess.run([sys.executable, HERE / "run.py"], env=env, capture_output=True, text=True, timeout=300)
            document = json.loads((Path(folder) / "bench/results.json").read_text())
        self.assertEqual(done.returncode, 1)
        self.assertIn("failed", document["mint"])
        self.assertIn("failed", document["decide_10k"])
        self.assertIn("processor", document["about"]["machine"])


if __name__ == "__main__":
    unittest.main()
