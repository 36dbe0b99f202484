// COpenCL
