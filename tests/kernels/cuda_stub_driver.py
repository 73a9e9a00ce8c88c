"""A stand-in for NVIDIA's driver library: it tells what it is asked, and runs the kernel of a host library.

`python cuda_stub_driver.py` launches kernels through it and compares them with the reference; the tests start it with
LD_LIBRARY_PATH pointing at the stub. It shows that the bindings are called as they want to be, without a GPU.
"""

import ctypes
import json
import sys
from types import SimpleNamespace

import torch
from cuda_on_host import library
from kernel_cases import BODIES, SEED, copies, generator, same_bytes, sample_call, written

from evoweights_kernels import _cuda, apply_, cuda_source
from evoweights_kernels.plan import plan

NAMES = ("pso", "gaussian_mutation", "mix")
COUNT = 12_289
DEVICE = 3

STUB = """
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#define TELL(...) fprintf(stderr, __VA_ARGS__)
extern "C" {
int unknown() { return 801; }
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
int cuDeviceGet(int* device, int index) { *device = index; return 0; }
int cuDevicePrimaryCtxRetain(void** context, int device) { TELL("retain %d\\n", device); *context = (void*)0x1000; return 0; }
int cuCtxPushCurrent_v2(void* context) { TELL("push %p\\n", context); return 0; }
int cuCtxPopCurrent_v2(void** context) { TELL("pop\\n"); *context = nullptr; return 0; }
int cuModuleLoadData(void** module, const void* image)
{
    TELL("load %.3s\\n", (const char*)image + 1);
    *module = (void*)0x2000;
    return getenv("STUB_REFUSES") ? 209 : 0;
}
int cuModuleGetFunction(void** function, void* module, const char* name)
{
    TELL("find %s in %p\\n", name, module);
    *function = (void*)0x3000;
    return 0;
}
int cuGetErrorString(int, const char** text) { *text = "as the test wanted"; return 0; }
int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** parameters, void** extra)
{
    TELL("launch %p %u,%u,%u x %u,%u,%u %u %p %p\\n", function, x, y, z, bx, by, bz, shared, stream, (void*)extra);
    void* host = dlopen(getenv("STUB_KERNEL"), RTLD_NOW);
    ((void (*)(unsigned, unsigned, unsigned, void**))dlsym(host, "launch"))(0, x, bx, parameters);
    return 0;
}
int cuGetProcAddress_v2(const char* symbol, void** address, int, unsigned long long, int* status)
{
    char second[200];
    snprintf(second, sizeof second, "%s_v2", symbol);
    Dl_info self;
    dladdr((void*)unknown, &self);
    void* stub = dlopen(self.dli_fname, RTLD_NOW);
    void* found = dlsym(stub, second);
    if (!found) found = dlsym(stub, symbol);
    *address = found ? found : (void*)unknown;
    if (status) *status = 0;
    return 0;
}
int cuGetProcAddress(const char* symbol, void** address, int version, unsigned long long flags)
{
    return cuGetProcAddress_v2(symbol, address, version, flags, nullptr);
}
}
"""


class OnDevice(torch.Tensor):
    """A CPU tensor that says it lies on a GPU."""

    device = torch.device("cuda", DEVICE)


def planned(name):
    calls = [sample_call(BODIES[name], COUNT, rng=generator(), dtype=torch.bfloat16, rounding=True)]
    return calls, plan(calls, seed=SEED, live=None, first_tile=9)


def main():
    torch.cuda.init = lambda: None
    torch.cuda.is_current_stream_capturing = lambda: False
    torch.cuda.get_device_capability = lambda index: (9, 0)
    torch.cuda.current_stream = lambda device: SimpleNamespace(cuda_stream=0x70 + device.index)
    equal = []
    for name in NAMES:
        calls, _ = planned(name)
        expected, found = copies(calls), copies(calls)
        ready = plan(found, seed=SEED, live=None, first_tile=9)
        path = library(cuda_source.source(ready.fused))._name
        ctypes.CDLL(None).setenv(b"STUB_KERNEL", path.encode(), 1)
        object.__setattr__(ready, "tensors", tuple(tensor.as_subclass(OnDevice) for tensor in ready.tensors))
        for _ in range(2):
            apply_(expected, seed=SEED, first_tile=9, backend="reference")
            _cuda.run(ready)
        pairs = zip(written(found), written(expected), strict=True)
        equal.append(all(same_bytes(a, b) for (_, a), (_, b) in pairs))
    sys.stdout.write(json.dumps(equal))


if __name__ == "__main__":
    main()
