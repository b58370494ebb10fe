"""What setup.cfg cannot say: the compiled parts, without which rawdaq works too, only slower."""

import sysconfig

from setuptools import Extension, setup

COMPILED = [
    Extension(
        f"rawdaq.native.{name}",
        [f"rawdaq/native/{name}.c"],
        extra_compile_args=["-O3"],  # with less, some compilers do not use the machine's vectors
        py_limited_api=True,
        optional=True,  # no compiler, no failure
    )
    for name in ("steim2",)
]

if sysconfig.get_config_var("Py_GIL_DISABLED"):  # these Pythons have no stable interface
    setup()
else:
    setup(ext_modules=COMPILED, options={"bdist_wheel": {"py_limited_api": "cp311"}})
