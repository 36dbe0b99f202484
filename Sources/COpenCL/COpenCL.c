// The calls: each goes through the table of loader.c, counts what it makes and frees, and asks
// whether it was told to fail.
#include "entry_points.h"

#include <stdatomic.h>

static atomic_long live[APUS_CL_OBJECT_KINDS];
static atomic_long countdown[APUS_CL_FAULT_KINDS];
static _Atomic cl_int fault_status[APUS_CL_FAULT_KINDS];

long apus_cl_live(apus_cl_object kind) { return atomic_load(&live[kind]); }

long apus_cl_live_total(void) {
  long total = 0;
  for (int kind = 0; kind < APUS_CL_OBJECT_KINDS; kind++) total += atomic_load(&live[kind]);
  return total;
}

void apus_cl_inject(apus_cl_fault kind, long n, cl_int status) {
  atomic_store(&fault_status[kind], status);
  atomic_store(&countdown[kind], n);
}

void apus_cl_inject_nothing(void) {
  for (int kind = 0; kind < APUS_CL_FAULT_KINDS; kind++) atomic_store(&countdown[kind], 0);
}

static atomic_long compiled;

long apus_cl_compiled(void) { return atomic_load(&compiled); }

long apus_cl_calls_before_fault(apus_cl_fault kind) { return atomic_load(&countdown[kind]); }

// The status that this call must fail with, or CL_SUCCESS. One call alone takes the count to zero.
static cl_int fault(apus_cl_fault kind) {
  long left = atomic_load(&countdown[kind]);
  while (left > 0) {
    if (atomic_compare_exchange_weak(&countdown[kind], &left, left - 1))
      return left == 1 ? atomic_load(&fault_status[kind]) : CL_SUCCESS;
  }
  return CL_SUCCESS;
}

// Counts an object that was made, if it was.
#define COUNTED(kind, object)                         \
  do {                                                \
    if (object) atomic_fetch_add(&live[kind], 1);     \
    return object;                                    \
  } while (0)

#define RELEASE(kind, call, object)      \
  do {                                   \
    if (!(object)) return;               \
    atomic_fetch_sub(&live[kind], 1);    \
    apus_cl_entries.call(object);        \
  } while (0)

cl_int apus_cl_platform_ids(cl_uint capacity, cl_platform_id *ids, cl_uint *count) {
  return apus_cl_entries.clGetPlatformIDs(capacity, ids, count);
}

cl_int apus_cl_platform_info(
    cl_platform_id platform, cl_platform_info name, size_t size, void *value, size_t *used) {
  return apus_cl_entries.clGetPlatformInfo(platform, name, size, value, used);
}

cl_int apus_cl_device_ids(
    cl_platform_id platform, cl_device_type type, cl_uint capacity, cl_device_id *ids,
    cl_uint *count) {
  return apus_cl_entries.clGetDeviceIDs(platform, type, capacity, ids, count);
}

cl_int apus_cl_device_info(
    cl_device_id device, cl_device_info name, size_t size, void *value, size_t *used) {
  return apus_cl_entries.clGetDeviceInfo(device, name, size, value, used);
}

cl_device_id apus_cl_create_sub_device(cl_device_id device, cl_uint units, cl_int *status) {
  const cl_device_partition_property counts[] = {
      CL_DEVICE_PARTITION_BY_COUNTS, (cl_device_partition_property)units,
      CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
  cl_device_id part = NULL;
  *status = apus_cl_entries.clCreateSubDevices(device, counts, 1, &part, NULL);
  if (*status != CL_SUCCESS) part = NULL;
  COUNTED(APUS_CL_SUB_DEVICE, part);
}

void apus_cl_release_sub_device(cl_device_id device) {
  RELEASE(APUS_CL_SUB_DEVICE, clReleaseDevice, device);
}

cl_context apus_cl_create_context(cl_device_id device, cl_int *status) {
  cl_context context = apus_cl_entries.clCreateContext(NULL, 1, &device, NULL, NULL, status);
  COUNTED(APUS_CL_CONTEXT, context);
}

void apus_cl_release_context(cl_context context) {
  RELEASE(APUS_CL_CONTEXT, clReleaseContext, context);
}

cl_command_queue apus_cl_create_queue(cl_context context, cl_device_id device, cl_int *status) {
  cl_command_queue queue = apus_cl_entries.clCreateCommandQueue(context, device, 0, status);
  COUNTED(APUS_CL_QUEUE, queue);
}

cl_command_queue apus_cl_create_profiling_queue(
    cl_context context, cl_device_id device, cl_int *status) {
  cl_command_queue queue = apus_cl_entries.clCreateCommandQueue(
      context, device, CL_QUEUE_PROFILING_ENABLE, status);
  COUNTED(APUS_CL_QUEUE, queue);
}

void apus_cl_release_queue(cl_command_queue queue) {
  RELEASE(APUS_CL_QUEUE, clReleaseCommandQueue, queue);
}

cl_int apus_cl_flush(cl_command_queue queue) { return apus_cl_entries.clFlush(queue); }

cl_int apus_cl_finish(cl_command_queue queue) { return apus_cl_entries.clFinish(queue); }

cl_mem apus_cl_create_buffer(cl_context context, size_t bytes, cl_int *status) {
  *status = fault(APUS_CL_ALLOCATION);
  if (*status != CL_SUCCESS) return NULL;
  cl_mem buffer = apus_cl_entries.clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, status);
  COUNTED(APUS_CL_BUFFER, buffer);
}

void apus_cl_release_buffer(cl_mem buffer) {
  RELEASE(APUS_CL_BUFFER, clReleaseMemObject, buffer);
}

cl_int apus_cl_read_buffer(
    cl_command_queue queue, cl_mem buffer, size_t offset, size_t bytes, void *target) {
  cl_int status = fault(APUS_CL_ENQUEUE);
  if (status != CL_SUCCESS) return status;
  return apus_cl_entries.clEnqueueReadBuffer(
      queue, buffer, CL_TRUE, offset, bytes, target, 0, NULL, NULL);
}

cl_int apus_cl_write_buffer(
    cl_command_queue queue, cl_mem buffer, size_t offset, size_t bytes, const void *source) {
  cl_int status = fault(APUS_CL_ENQUEUE);
  if (status != CL_SUCCESS) return status;
  return apus_cl_entries.clEnqueueWriteBuffer(
      queue, buffer, CL_TRUE, offset, bytes, source, 0, NULL, NULL);
}

void *apus_cl_map_buffer(cl_command_queue queue, cl_mem buffer, size_t bytes, cl_int *status) {
  *status = fault(APUS_CL_ENQUEUE);
  if (*status != CL_SUCCESS) return NULL;
  return apus_cl_entries.clEnqueueMapBuffer(
      queue, buffer, CL_TRUE, CL_MAP_WRITE, 0, bytes, 0, NULL, NULL, status);
}

cl_int apus_cl_unmap_buffer(cl_command_queue queue, cl_mem buffer, void *bytes) {
  // Not made to fail: a buffer that stays mapped could not even be released.
  return apus_cl_entries.clEnqueueUnmapMemObject(queue, buffer, bytes, 0, NULL, NULL);
}

cl_program apus_cl_create_program(
    cl_context context, const char *text, size_t length, cl_int *status) {
  cl_program program =
      apus_cl_entries.clCreateProgramWithSource(context, 1, &text, &length, status);
  if (program) atomic_fetch_add(&compiled, 1);
  COUNTED(APUS_CL_PROGRAM, program);
}

cl_program apus_cl_create_program_from_binary(
    cl_context context, cl_device_id device, const unsigned char *binary, size_t length,
    cl_int *status) {
  cl_int loaded = CL_SUCCESS;
  cl_program program = apus_cl_entries.clCreateProgramWithBinary(
      context, 1, &device, &length, &binary, &loaded, status);
  // A driver may refuse the binary and make an empty program of it.
  if (program && loaded != CL_SUCCESS) {
    apus_cl_entries.clReleaseProgram(program);
    *status = loaded;
    return NULL;
  }
  COUNTED(APUS_CL_PROGRAM, program);
}

size_t apus_cl_program_binary_size(cl_program program) {
  // A context here has one device.
  size_t size = 0;
  cl_int status = apus_cl_entries.clGetProgramInfo(
      program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL);
  return status == CL_SUCCESS ? size : 0;
}

cl_int apus_cl_program_binary(cl_program program, unsigned char *binary) {
  return apus_cl_entries.clGetProgramInfo(
      program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL);
}

void apus_cl_release_program(cl_program program) {
  RELEASE(APUS_CL_PROGRAM, clReleaseProgram, program);
}

cl_int apus_cl_build_program(cl_program program, cl_device_id device, const char *options) {
  cl_int status = fault(APUS_CL_BUILD);
  if (status != CL_SUCCESS) return status;
  return apus_cl_entries.clBuildProgram(program, 1, &device, options, NULL, NULL);
}

cl_int apus_cl_build_info(
    cl_program program, cl_device_id device, cl_program_build_info name, size_t size, void *value,
    size_t *used) {
  return apus_cl_entries.clGetProgramBuildInfo(program, device, name, size, value, used);
}

cl_kernel apus_cl_create_kernel(cl_program program, const char *entry, cl_int *status) {
  cl_kernel kernel = apus_cl_entries.clCreateKernel(program, entry, status);
  COUNTED(APUS_CL_KERNEL, kernel);
}

void apus_cl_release_kernel(cl_kernel kernel) {
  RELEASE(APUS_CL_KERNEL, clReleaseKernel, kernel);
}

cl_int apus_cl_set_argument(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
  return apus_cl_entries.clSetKernelArg(kernel, index, size, value);
}

cl_int apus_cl_enqueue_kernel(
    cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *global,
    const size_t *local, cl_event *event) {
  cl_int status = fault(APUS_CL_ENQUEUE);
  if (status != CL_SUCCESS) return status;
  status = apus_cl_entries.clEnqueueNDRangeKernel(
      queue, kernel, dimensions, NULL, global, local, 0, NULL, event);
  if (status == CL_SUCCESS && event) atomic_fetch_add(&live[APUS_CL_EVENT], 1);
  return status;
}

cl_int apus_cl_enqueue_marker(cl_command_queue queue, cl_event *event) {
  cl_int status = fault(APUS_CL_ENQUEUE);
  if (status != CL_SUCCESS) return status;
  status = apus_cl_entries.clEnqueueMarkerWithWaitList(queue, 0, NULL, event);
  if (status == CL_SUCCESS) atomic_fetch_add(&live[APUS_CL_EVENT], 1);
  return status;
}

cl_int apus_cl_event_times(cl_event event, cl_ulong times[4]) {
  static const cl_profiling_info stages[4] = {
      CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT, CL_PROFILING_COMMAND_START,
      CL_PROFILING_COMMAND_END};
  for (int i = 0; i < 4; i++) {
    cl_int status = apus_cl_entries.clGetEventProfilingInfo(
        event, stages[i], sizeof times[i], &times[i], NULL);
    if (status != CL_SUCCESS) return status;
  }
  return CL_SUCCESS;
}

void apus_cl_release_event(cl_event event) {
  RELEASE(APUS_CL_EVENT, clReleaseEvent, event);
}
