// The one list of OpenCL functions that Apus calls.
#pragma once

#include "COpenCL.h"

#define APUS_CL_ENTRY_POINTS(ENTRY) \
  ENTRY(clGetPlatformIDs)           \
  ENTRY(clGetPlatformInfo)          \
  ENTRY(clGetDeviceIDs)             \
  ENTRY(clGetDeviceInfo)            \
  ENTRY(clCreateSubDevices)         \
  ENTRY(clReleaseDevice)            \
  ENTRY(clCreateContext)            \
  ENTRY(clReleaseContext)           \
  ENTRY(clCreateCommandQueue)       \
  ENTRY(clReleaseCommandQueue)      \
  ENTRY(clFlush)                    \
  ENTRY(clFinish)                   \
  ENTRY(clCreateBuffer)             \
  ENTRY(clReleaseMemObject)         \
  ENTRY(clEnqueueReadBuffer)        \
  ENTRY(clEnqueueWriteBuffer)       \
  ENTRY(clEnqueueMapBuffer)         \
  ENTRY(clEnqueueUnmapMemObject)    \
  ENTRY(clCreateProgramWithSource)  \
  ENTRY(clCreateProgramWithBinary)  \
  ENTRY(clGetProgramInfo)           \
  ENTRY(clReleaseProgram)           \
  ENTRY(clBuildProgram)             \
  ENTRY(clGetProgramBuildInfo)      \
  ENTRY(clCreateKernel)             \
  ENTRY(clReleaseKernel)            \
  ENTRY(clSetKernelArg)             \
  ENTRY(clEnqueueNDRangeKernel)     \
  ENTRY(clEnqueueMarkerWithWaitList) \
  ENTRY(clGetEventProfilingInfo)    \
  ENTRY(clReleaseEvent)

// Pointers to those functions; the types are taken from the prototypes, which are never linked.
#define ENTRY(name) __typeof__(&name) name;
typedef struct {
  APUS_CL_ENTRY_POINTS(ENTRY)
} apus_cl_entry_points;
#undef ENTRY

// Filled by apus_cl_load.
extern apus_cl_entry_points apus_cl_entries;
