"""Grids of experiments over the devices of one machine or of many, on disk as they finish.

Reading order: `grid` (cells and their keys), `mixture_known`, `mixture_cell` and `source_cell` (what a cell computes),
`config`, `program` (cells on devices), `fused_threefry` (their random numbers), `tables` and `parts` (the folder),
`hosts` (many processes), `budget` (memory), `run`, `plan`.
"""

from rdjax.sweep.config import Sweep, read_config
from rdjax.sweep.hosts import Host, join
from rdjax.sweep.plan import Plan, plan_sweep
from rdjax.sweep.run import run_sweep
from rdjax.sweep.tables import read_table

__all__ = ["Host", "Plan", "Sweep", "join", "plan_sweep", "read_config", "read_table", "run_sweep"]
