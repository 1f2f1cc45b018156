// The functions of NVIDIA's driver that kernels/cuda/driver.py calls, on top of emulator.h. A
// module's image is the path of a file that emulator.py compiled.

#include <dlfcn.h>

#include <cstdint>
#include <string>

namespace {

struct Function {
  const char* (*launch)(const char*, unsigned, unsigned, unsigned, unsigned, void**, int);
  std::string name;
};

std::string error;
int thread_order = 0;
thread_local void* context = nullptr;

constexpr int kInvalidValue = 1, kInvalidContext = 201, kInvalidImage = 200, kNotFound = 500,
              kLaunchFailed = 719;

int refuse(int code, const std::string& message) {
  error = message;
  return code;
}

}  // namespace

extern "C" {

void emulator_set_order(int order) { thread_order = order; }

int cuInit(unsigned) { return 0; }

int cuDeviceGet(int* device, int index) { return *device = index, index == 0 ? 0 : 101; }

int cuDevicePrimaryCtxRetain(void** made, int) {
  static int one;
  *made = &one;
  return 0;
}

int cuCtxSetCurrent(void* given) { return context = given, 0; }

int cuModuleLoadData(void** module, const void* image) {
  if (!context) return refuse(kInvalidContext, "no context on this thread");
  *module = dlopen((const char*)image, RTLD_NOW | RTLD_LOCAL);
  return *module ? 0 : refuse(kInvalidImage, dlerror());
}

int cuModuleGetFunction(void** function, void* module, const char* name) {
  auto* launch = (decltype(Function::launch))dlsym(module, "emulated_launch");
  if (!launch) return refuse(kNotFound, "not a compiled file");
  *function = new Function{launch, name};
  return 0;
}

struct Attribute {
  int64_t id;
  int flag[16];
};

struct Config {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
  void* stream;
  const Attribute* attributes;
  unsigned count;
};

int cuLaunchKernelEx(const Config* config, void* function, void** values, void** extra) {
  const auto [grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, attributes,
              count] = *config;
  if (!context) return refuse(kInvalidContext, "no context on this thread");
  if (block_y != 1 || block_z != 1 || shared_bytes || extra)
    return refuse(kInvalidValue, "the emulator knows blocks in one dimension only");
  if (!grid_x || !grid_y || !grid_z || grid_y > 65535 || grid_z > 65535 || grid_x > 0x7fffffffu)
    return refuse(kInvalidValue, "a grid of no size, or of too much");
  const Function& f = *(const Function*)function;
  const char* failure = f.launch(f.name.c_str(), grid_x, grid_y, grid_z, block_x, values, thread_order);
  return failure ? refuse(kLaunchFailed, f.name + ": " + failure) : 0;
}

int cuGetErrorString(int, const char** words) { return *words = error.c_str(), 0; }
}
