import COpenCL

// One owner for each OpenCL object: it cannot be copied, and its end releases the object. Nothing
// outside this room sees an OpenCL type.

/// A part of a device with fewer compute units.
struct OwnedSubDevice: ~Copyable {
  let raw: cl_device_id
  deinit { apus_cl_release_sub_device(raw) }
}

/// A context of one device.
struct OwnedContext: ~Copyable {
  let raw: cl_context
  deinit { apus_cl_release_context(raw) }
}

/// An in-order queue.
struct OwnedQueue: ~Copyable {
  let raw: cl_command_queue
  deinit { apus_cl_release_queue(raw) }
}

/// A built program, or one that is being built.
struct OwnedProgram: ~Copyable {
  let raw: cl_program
  deinit { apus_cl_release_program(raw) }
}

/// A kernel; arguments that are set stay set. A class, since it may come later than its owner.
final class OwnedKernel {
  let raw: cl_kernel
  init(raw: cl_kernel) { self.raw = raw }
  deinit { apus_cl_release_kernel(raw) }
}

/// A buffer. A class, since dictionaries hold no noncopyable values.
final class OwnedBuffer {
  let raw: cl_mem
  /// Bytes that were asked for.
  let bytes: Int

  init(raw: cl_mem, bytes: Int) {
    self.raw = raw
    self.bytes = bytes
  }

  deinit { apus_cl_release_buffer(raw) }
}
