import COpenCL
package import Devices

// Recording. A queue that keeps times costs something, so there is one only while they are wanted.
extension OpenCLDevice {
  package func startRecording() throws(DeviceError) {
    guard recorder == nil else { return }
    // What steps of one launch needed no kernels for; their making is no part of what is recorded.
    try buildLaunches()
    try switchQueue(keepsTimes: true)
    recorder = try LaunchRecorder(queue: queue.raw, calls: calls)
  }

  package var launchCount: Int { recorder?.count ?? 0 }

  package func takeRecords() throws(DeviceError) -> LaunchLog {
    try recorder?.take() ?? LaunchLog()
  }

  package func stopRecording() throws(DeviceError) {
    guard recorder != nil else { return }
    recorder = nil
    try switchQueue(keepsTimes: false)
  }

  /// Goes on with a new queue, or with the one there is where the driver has none that keeps times.
  private func switchQueue(keepsTimes: Bool) throws(DeviceError) {
    try calls.check(apus_cl_finish(queue.raw), "clFinish", "before a new queue")
    isBusy = false
    var status = CL_SUCCESS
    let raw =
      keepsTimes
      ? apus_cl_create_profiling_queue(context.raw, handle, &status)
      : apus_cl_create_queue(context.raw, handle, &status)
    if raw == nil, keepsTimes { return }
    queue = OwnedQueue(
      raw: try calls.made(raw, status, "clCreateCommandQueue", description.name))
  }
}
