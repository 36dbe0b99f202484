import COpenCL
import DiskCache

/// Built programs of one device on disk, for the next process.
///
/// A binary is found by everything that went into it: source with defines, options, device, driver,
/// platform, and the host's processor where that is the device. A binary that the driver does not
/// take is forgotten, and its program built from source again.
struct ProgramCache {
  private let disk: DiskCache
  private let identity: [String]
  private let names: String

  /// The cache of one device. A part of a device has the device's binaries.
  init(_ disk: DiskCache, _ device: OpenCLDevices.Description, _ identity: [String]) {
    self.disk = disk
    names = "\(device.name)\n\(device.platform) \(device.driver)"
    self.identity = identity
  }

  /// A program's key, by what tells its text from others.
  func key(source: [String], options: String) -> CacheKey {
    CacheKey(["program 2"] + identity + [options] + source)
  }

  /// A built program from its binary; nil where there is none that the driver takes, or in which it
  /// finds the kernel.
  func program(
    _ key: CacheKey, in context: cl_context, for device: cl_device_id, options: String,
    entry: String
  ) -> OwnedProgram? {
    guard let binary = disk.load(key) else { return nil }
    var status = CL_SUCCESS
    guard
      let raw = apus_cl_create_program_from_binary(context, device, binary, binary.count, &status)
    else {
      disk.remove(key)
      return nil
    }
    let program = OwnedProgram(raw: raw)
    guard apus_cl_build_program(program.raw, device, options) == CL_SUCCESS,
      let kernel = apus_cl_create_kernel(program.raw, entry, &status)
    else {
      disk.remove(key)
      return nil
    }
    apus_cl_release_kernel(kernel)
    return program
  }

  /// Keeps a built program; a driver that gives no binary is left in peace.
  func store(_ program: cl_program, under key: CacheKey, name: String) {
    let count = apus_cl_program_binary_size(program)
    guard count > 0 else { return }
    var status = CL_SUCCESS
    let binary = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      buffer.initialize(repeating: 0)
      status = apus_cl_program_binary(program, buffer.baseAddress)
      initialized = count
    }
    guard status == CL_SUCCESS else { return }
    disk.store(binary, under: key, label: "\(name)\n\(names)")
  }
}

extension OpenCLDevices {
  /// Everything by which a driver's work on one device may differ from another's.
  static func identity(of handle: Handle, _ device: Description) -> [String] {
    func words(_ name: Int32) -> String {
      text { apus_cl_device_info(handle.device, cl_device_info(name), $0, $1, $2) }
    }
    let version = text {
      apus_cl_platform_info(handle.platform, cl_platform_info(CL_PLATFORM_VERSION), $0, $1, $2)
    }
    return [
      device.name, words(CL_DEVICE_VENDOR), words(CL_DEVICE_VERSION), device.driver,
      words(CL_DEVICE_EXTENSIONS), device.platform, version,
      device.isCPU ? hostProcessor : "",
    ]
  }

  /// The processor of this machine, as far as compilers care.
  package static var hostProcessor: String { "\(apus_cl_host_processor())" }

  /// The build of Apus that runs, or nil where that cannot be told.
  package static var build: String? {
    let number = apus_cl_build_number()
    return number == 0 ? nil : "\(number)"
  }
}
