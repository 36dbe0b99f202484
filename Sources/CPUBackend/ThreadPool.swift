import CPUKernels

/// The threads that share one operation at a time; owned by the device, and ended with it.
struct ThreadPool: ~Copyable {
  /// Nil where there is no memory for a pool: then the caller's thread does all the work.
  let handle: OpaquePointer?

  /// - Parameter threads: How many, the caller's among them, or nil for one on each usable CPU.
  init(threads: Int?) {
    let usable = Int32(clamping: max(1, threads ?? Int(cpu_online())))
    handle = cpu_pool_create(usable)
  }

  deinit { cpu_pool_destroy(handle) }

  /// The caller's among them.
  var count: Int { Int(cpu_pool_threads(handle)) }
}
