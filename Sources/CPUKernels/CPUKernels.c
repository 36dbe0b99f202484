// CPUKernels
