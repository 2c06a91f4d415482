"""The hardware bench: every self-test of a front end against its limit, every fault named with its cure.

`python -m firmware.bench` runs it; `--json FILE` writes its report as one object:

- `schema`: 1; a key that is renamed or removed raises it, unknown keys are to be ignored.
- `about`: `source` (simulated or pi), `proves_machine` (false for the simulated box), `rate_hz`, `quick`,
  `seed`, `faults` (those injected), `wiring`, `parts` (names of the chips), `version`, `started_utc`,
  `machine` {`model`, `kernel`, `architecture`, `cpus`}.
- `verdict`: `pass`, `warn`, `fail` or `skipped`, the worst of all items; `counts`: items by verdict.
- `findings`: [{`item`, `verdict`, `cause`, `cure`}], what others rely on first.
- `items`: [{`name`, `title`, `limit` (words), `source` (where the limit comes from), `verdict`, `measured`
  (words), `reason` (why skipped), `note`, `seconds` (of the box's clock), `values`: [{`what`, `measured`
  (a number, null when it was none), `unit`, `low`, `high` (limits that fail, null for none), `verdict`}],
  `causes`: [{`cause`, `cure`}], `plots`: [{`title`, `x_label`, `y_label`, `series`: [{`name`, `x`, `y`}]}]}].
- `held`: what this machine can hold (see `firmware.held`), null where it was not measured.
"""
