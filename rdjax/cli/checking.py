"""`rdjax doctor`: what a bug report needs."""

import os

import typer

from rdjax.cli.entry import answering, app


@app.command(epilog="Example: rdjax doctor")
@answering
def doctor() -> None:
    """Print what a bug report needs."""
    import platform
    from importlib.metadata import version

    import jax
    import jax.numpy as jnp

    import rdjax

    lines = {"python": f"{platform.python_version()} on {platform.platform()}", "rdjax": rdjax.__version__}
    lines |= {name: version(name) for name in ("jax", "jaxlib", "numpy", "scipy", "flax", "optax", "chex")}
    lines["devices"] = ", ".join(str(device) for device in jax.devices())
    products = getattr(jax.config, "jax_default_matmul_precision", None)
    lines["default precision"] = f"{jnp.zeros(()).dtype}, products {products or 'default'}"
    settings = [f"{name}={os.environ[name]}" for name in ("OPENBLAS_NUM_THREADS", "XLA_FLAGS") if name in os.environ]
    lines["threads"] = ", ".join([f"{os.cpu_count()} processors", *settings])
    with jax.enable_x64(True):
        from rdjax.limits import ranking_rate

        lines["x64"] = f"{jnp.zeros(()).dtype} inside jax.enable_x64"
        bits = float(ranking_rate(1 - 0.59, 1000))
    good = abs(bits - 4.8465) < 1e-4
    lines["self-check"] = f"MRR 0.59 over 1,000 documents needs {bits:.2f} bits: {'right' if good else 'wrong, 4.85'}"
    for name, text in lines.items():
        typer.echo(f"{name + ':':<19}{text}")
    if not good:
        raise typer.Exit(1)
