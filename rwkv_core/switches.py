"""The environment variables of the PyPI package `rwkv`: none is read, each has an answer."""

from collections.abc import Mapping

# Variable -> what replaces it.
SWITCHES = {
    "RWKV_JIT_ON": "leave it out: there is no TorchScript to switch",
    "RWKV_CUDA_ON": "leave it out: kernels are compiled when they are first used, where a "
    "compiler is found, and Model.choices['kernel'] says which runs and why",
    "RWKV_V7_ON": "leave it out: the generation is told from the file",
    "RWKV_DE_VERSION": "leave it out: a deep embedding (RWKV-7a) is told from the file",
    "RWKV_DML_ON": "choose another strategy, such as 'cpu fp32': DirectML is not supported",
    "RWKV_RESCALE_LAYER": "leave it out: fp16 is rescaled where a generation needs it, and "
    "'bf16' or 'fp32' in the strategy never is",
}


def explain_switches(environment: Mapping[str, str]) -> list[str]:
    """Say of each variable that is set that it is not read, and what to do instead.

    Args:
        environment: variables by name, such as os.environ.

    Returns:
        One sentence per variable of the package that is set; often none.
    """
    return [
        f"{name}={environment[name]} is not read; {answer}"
        for name, answer in SWITCHES.items()
        if name in environment
    ]
