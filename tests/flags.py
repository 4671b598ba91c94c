"""What XLA is told: to compile the suite's programs, which run once, in a fifth of the time; or as users have it.

The choice of emitters is gone from jaxlib 0.11.1 on, where an unknown flag ends the process.
"""

from importlib import metadata

_CHOICE = tuple(int(part) for part in metadata.version("jaxlib").split(".")[:3]) < (0, 11, 1)
OF_TESTS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1" + (
    " --xla_cpu_use_fusion_emitters=false" if _CHOICE else ""
)
#: what tests leave out, as options of a program and as flags of a process
USERS = {"xla_backend_optimization_level": 3} | ({"xla_cpu_use_fusion_emitters": True} if _CHOICE else {})
OF_USERS = " ".join(f"--{name}={str(value).lower()}" for name, value in USERS.items())
