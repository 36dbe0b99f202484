// OpenCL 1.2, opened at run time.
//
// No program here links against libOpenCL: the loader is opened with dlopen on first use, so one
// binary runs with and without OpenCL. Each function below is the OpenCL call of the same name
// behind a table of entry points. The wrappers add two things that tests need: they count live
// objects, and they can make a chosen call fail.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// The base path of Apus asks for nothing newer; without this the headers offer 3.0 and warn.
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif

// --- The loader ---------------------------------------------------------------------------------

// Opens the OpenCL loader and its entry points, once per process, from any thread. Returns null
// when OpenCL can be called, else a sentence that says why not; it stays valid for ever.
const char *apus_cl_load(void);

// The name of a status, such as "CL_OUT_OF_RESOURCES"; "unknown OpenCL status" for others.
const char *apus_cl_status_name(cl_int status);

// --- Where this runs ----------------------------------------------------------------------------

// A number that tells processors apart by model and instruction sets, for what drivers compile for
// the processor that they run on.
unsigned long long apus_cl_host_processor(void);

// Processors that this process may use.
int apus_cl_host_processors(void);

// A number that tells builds of this code apart: another after each time that it was linked. 0 where
// the file that holds it cannot be found.
unsigned long long apus_cl_build_number(void);

// Whether the host's processor and system have AVX-512 with byte dot products (VNNI), on vectors of all
// widths.
bool apus_host_has_vnni(void);

// Whether they have AVX2, with fused multiply-add and conversion of halves.
bool apus_host_has_avx2(void);

// Whether Intel made the host's processor.
bool apus_host_is_intel(void);

// --- Counting and fault injection ---------------------------------------------------------------

// Kinds of objects that are counted.
typedef enum {
  APUS_CL_SUB_DEVICE,
  APUS_CL_CONTEXT,
  APUS_CL_QUEUE,
  APUS_CL_PROGRAM,
  APUS_CL_KERNEL,
  APUS_CL_BUFFER,
  APUS_CL_EVENT,
  APUS_CL_OBJECT_KINDS  // how many kinds there are
} apus_cl_object;

// Objects of one kind that were created and not yet released, over all threads.
long apus_cl_live(apus_cl_object kind);

// The same over all kinds.
long apus_cl_live_total(void);

// Programs that were made from source so far, over all threads.
long apus_cl_compiled(void);

// The name of a kind: "buffer".
const char *apus_cl_object_name(apus_cl_object kind);

// Calls that can be made to fail.
typedef enum {
  APUS_CL_ALLOCATION,  // apus_cl_create_buffer
  APUS_CL_BUILD,       // apus_cl_build_program, apus_cl_compile_program, apus_cl_link_program
  APUS_CL_ENQUEUE,     // every apus_cl_enqueue_…, and what reads, writes or maps a buffer
  APUS_CL_FAULT_KINDS  // how many kinds there are
} apus_cl_fault;

// Makes the n-th call of this kind from now fail with `status` (n = 1 is the next one), without
// reaching the driver; calls after it succeed again. n = 0 takes the order back.
void apus_cl_inject(apus_cl_fault kind, long n, cl_int status);

// Calls of this kind that are left until the injected fault: 0 once it has happened.
long apus_cl_calls_before_fault(apus_cl_fault kind);

// Takes every injected fault back.
void apus_cl_inject_nothing(void);

// --- Platforms and devices ----------------------------------------------------------------------
// Every function from here on is to be called only after apus_cl_load returned null.

cl_int apus_cl_platform_ids(cl_uint capacity, cl_platform_id *ids, cl_uint *count);
cl_int apus_cl_platform_info(
    cl_platform_id platform, cl_platform_info name, size_t size, void *value, size_t *used);
cl_int apus_cl_device_ids(
    cl_platform_id platform, cl_device_type type, cl_uint capacity, cl_device_id *ids,
    cl_uint *count);
cl_int apus_cl_device_info(
    cl_device_id device, cl_device_info name, size_t size, void *value, size_t *used);

// A sub-device with `units` compute units: clCreateSubDevices by counts. Null on failure.
cl_device_id apus_cl_create_sub_device(cl_device_id device, cl_uint units, cl_int *status);
void apus_cl_release_sub_device(cl_device_id device);
// To be called between the last command of a part of a device and its release: PoCL's worker looks at the
// device once more after whoever waited for the command has been told.
void apus_cl_let_settle(void);

// --- Contexts, queues, memory -------------------------------------------------------------------
// A create function returns null on failure and always sets *status. Release functions accept
// null; a driver's refusal to release is not reported, as there is nobody who could act on it.

cl_context apus_cl_create_context(cl_device_id device, cl_int *status);
void apus_cl_release_context(cl_context context);

// An in-order queue.
cl_command_queue apus_cl_create_queue(cl_context context, cl_device_id device, cl_int *status);
// The same, noting when each command passes its stages.
cl_command_queue apus_cl_create_profiling_queue(
    cl_context context, cl_device_id device, cl_int *status);
void apus_cl_release_queue(cl_command_queue queue);
cl_int apus_cl_flush(cl_command_queue queue);
cl_int apus_cl_finish(cl_command_queue queue);

// A read-write buffer in the device's own memory.
cl_mem apus_cl_create_buffer(cl_context context, size_t bytes, cl_int *status);
void apus_cl_release_buffer(cl_mem buffer);

// Blocking copies between host and device.
cl_int apus_cl_read_buffer(
    cl_command_queue queue, cl_mem buffer, size_t offset, size_t bytes, void *target);
cl_int apus_cl_write_buffer(
    cl_command_queue queue, cl_mem buffer, size_t offset, size_t bytes, const void *source);

// Waits for the commands before it and makes the first bytes of a buffer writable by the host. Null on
// failure. No command may use the buffer until it is unmapped.
void *apus_cl_map_buffer(cl_command_queue queue, cl_mem buffer, size_t bytes, cl_int *status);
// Gives them back to the device; commands after it see what was written.
cl_int apus_cl_unmap_buffer(cl_command_queue queue, cl_mem buffer, void *bytes);

// --- Programs and kernels -----------------------------------------------------------------------

// A program from source text of `length` bytes.
cl_program apus_cl_create_program(
    cl_context context, const char *text, size_t length, cl_int *status);
// A program from what apus_cl_program_binary gave for the same device and driver; it is still to be
// built. Null where the driver does not take it.
cl_program apus_cl_create_program_from_binary(
    cl_context context, cl_device_id device, const unsigned char *binary, size_t length,
    cl_int *status);
void apus_cl_release_program(cl_program program);

// Bytes of a built program's binary, 0 where the driver has none; the driver may compile now.
size_t apus_cl_program_binary_size(cl_program program);
// The binary, as many bytes as its size says.
cl_int apus_cl_program_binary(cl_program program, unsigned char *binary);

// Builds for one device and waits.
cl_int apus_cl_build_program(cl_program program, cl_device_id device, const char *options);
// Compiles a program that others are linked with, by the same options as a build.
cl_int apus_cl_compile_program(cl_program program, cl_device_id device, const char *options);
// One program from compiled ones. Where linking fails there may be a program still, which has the log.
cl_program apus_cl_link_program(
    cl_context context, cl_device_id device, cl_uint count, const cl_program *parts, cl_int *status);
cl_int apus_cl_build_info(
    cl_program program, cl_device_id device, cl_program_build_info name, size_t size, void *value,
    size_t *used);

cl_kernel apus_cl_create_kernel(cl_program program, const char *entry, cl_int *status);
void apus_cl_release_kernel(cl_kernel kernel);
cl_int apus_cl_set_argument(cl_kernel kernel, cl_uint index, size_t size, const void *value);

// Enqueues a range of `dimensions` sizes. `local` may be null: the driver chooses. Where `event`
// is not null it receives an event, which the caller releases.
cl_int apus_cl_enqueue_kernel(
    cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *global,
    const size_t *local, cl_event *event);

// A command that does nothing and ends when all before it have; its event is the caller's.
cl_int apus_cl_enqueue_marker(cl_command_queue queue, cl_event *event);

// When a finished command of a profiling queue was queued, submitted, started and ended, in
// nanoseconds of the device's clock.
cl_int apus_cl_event_times(cl_event event, cl_ulong times[4]);
void apus_cl_release_event(cl_event event);
