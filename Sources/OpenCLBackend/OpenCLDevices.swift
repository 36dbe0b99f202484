import COpenCL
import Synchronization

/// What OpenCL offers on this machine.
package enum OpenCLDevices {
  /// One device, as its driver describes it.
  package struct Description: Sendable, Hashable {
    /// Its number over all platforms: `opencl:<index>`.
    package var index: Int
    package var name: String
    package var platform: String
    package var driver: String
    /// The version of OpenCL C that it compiles.
    package var language: String
    package var extensions: Set<Substring>
    /// Whether it is the host's processor.
    package var isCPU: Bool
    package var computeUnits: Int
    /// Whether a part of the compute units can be used alone.
    package var isDivisible: Bool
    package var memory: Int
    /// Whether that memory is the host's.
    package var sharesHostMemory: Bool
    package var largestAllocation: Int
    /// Bytes of its cache.
    package var cache: Int
    /// Whether it says that it has fused multiply-add.
    package var hasFMA: Bool
  }

  /// The devices, and why there are none where there are none.
  package struct Listing: Sendable, Hashable {
    package var devices: [Description]
    package var reason: String?
  }

  /// Lists the devices of all platforms. A missing loader or driver is an answer, not an error.
  package static func list() -> Listing {
    switch handles() {
    case .success(let devices):
      Listing(
        devices: devices.enumerated().map { describe($1, index: $0) },
        reason: devices.isEmpty ? "no OpenCL platform has a device" : nil)
    case .failure(let missing): Listing(devices: [], reason: missing.reason)
    }
  }

  /// Why there is no OpenCL here.
  struct Missing: Error {
    var reason: String
  }

  /// One device and the platform it belongs to.
  struct Handle {
    var platform: cl_platform_id
    var device: cl_device_id
  }

  /// Loads the drivers and what does not depend on them, which takes some 30 ms: for a thread that has nothing else
  /// to do until a device is opened.
  package static func prepare() {
    _ = handles()
    _ = KernelTable.rows.count
  }

  /// The devices of all platforms in the order of the loader. Drivers begin when they are first asked, and one
  /// thread at a time asks.
  static func handles() -> Result<[Handle], Missing> { asking.withLock { _ in foundHandles() } }

  private static let asking = Mutex<Void>(())

  private static func foundHandles() -> Result<[Handle], Missing> {
    if let reason = apus_cl_load() { return .failure(Missing(reason: String(cString: reason))) }
    var count: cl_uint = 0
    let status = apus_cl_platform_ids(0, nil, &count)
    guard status == CL_SUCCESS, count > 0 else {
      return .failure(
        Missing(reason: "no OpenCL driver is installed (\(name(of: status)))"))
    }
    var platforms = [cl_platform_id?](repeating: nil, count: Int(count))
    guard apus_cl_platform_ids(count, &platforms, nil) == CL_SUCCESS else {
      return .failure(Missing(reason: "the OpenCL loader does not list its platforms"))
    }
    return .success(platforms.compactMap { $0 }.flatMap(devices))
  }

  /// The devices of one platform; none where it has none, as Clover often does.
  private static func devices(of platform: cl_platform_id) -> [Handle] {
    let type = cl_device_type(CL_DEVICE_TYPE_ALL)
    var count: cl_uint = 0
    guard apus_cl_device_ids(platform, type, 0, nil, &count) == CL_SUCCESS, count > 0 else {
      return []
    }
    var devices = [cl_device_id?](repeating: nil, count: Int(count))
    guard apus_cl_device_ids(platform, type, count, &devices, nil) == CL_SUCCESS else { return [] }
    return devices.compactMap { $0.map { Handle(platform: platform, device: $0) } }
  }

  /// Asks the driver about one device.
  static func describe(_ handle: Handle, index: Int) -> Description {
    let device = handle.device
    let platform = text {
      apus_cl_platform_info(handle.platform, cl_platform_info(CL_PLATFORM_NAME), $0, $1, $2)
    }
    func words(_ name: Int32) -> String {
      text { apus_cl_device_info(device, cl_device_info(name), $0, $1, $2) }
    }
    func number<Value: FixedWidthInteger>(_ name: Int32, _: Value.Type) -> Int {
      var value: Value = 0
      let size = MemoryLayout<Value>.size
      let status = apus_cl_device_info(device, cl_device_info(name), size, &value, nil)
      return status == CL_SUCCESS ? Int(clamping: value) : 0
    }
    // Asked before clCreateSubDevices is called: rusticl has a null pointer in its place.
    var ways = [cl_device_partition_property](repeating: 0, count: 16)
    let partition = apus_cl_device_info(
      device, cl_device_info(CL_DEVICE_PARTITION_PROPERTIES),
      ways.count * MemoryLayout<cl_device_partition_property>.size, &ways, nil)
    let type = number(CL_DEVICE_TYPE, cl_device_type.self)
    let isCPU = type & Int(CL_DEVICE_TYPE_CPU) != 0
    return Description(
      index: index, name: words(CL_DEVICE_NAME), platform: platform,
      driver: words(CL_DRIVER_VERSION), language: words(CL_DEVICE_OPENCL_C_VERSION),
      extensions: Set(words(CL_DEVICE_EXTENSIONS).split(separator: " ")),
      isCPU: isCPU,
      computeUnits: max(1, number(CL_DEVICE_MAX_COMPUTE_UNITS, cl_uint.self)),
      isDivisible: partition == CL_SUCCESS
        && ways.contains(cl_device_partition_property(CL_DEVICE_PARTITION_BY_COUNTS)),
      memory: number(CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong.self),
      sharesHostMemory: isCPU || number(CL_DEVICE_HOST_UNIFIED_MEMORY, cl_bool.self) != 0,
      largestAllocation: number(CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong.self),
      cache: number(CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, cl_ulong.self),
      hasFMA: number(CL_DEVICE_SINGLE_FP_CONFIG, cl_device_fp_config.self) & Int(CL_FP_FMA) != 0)
  }

  /// The name of a status.
  static func name(of status: cl_int) -> String { String(cString: apus_cl_status_name(status)) }

  /// Text that an information call gives in two steps: its length, then the bytes with a zero.
  static func text(
    _ ask: (Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> cl_int
  ) -> String {
    var length = 0
    guard ask(0, nil, &length) == CL_SUCCESS, length > 1 else { return "" }
    var bytes = [UInt8](repeating: 0, count: length)
    guard bytes.withUnsafeMutableBytes({ ask(length, $0.baseAddress, nil) }) == CL_SUCCESS else {
      return ""
    }
    let end = bytes.firstIndex(of: 0) ?? length
    var words = String(decoding: bytes[..<end], as: UTF8.self)[...]
    while words.first?.isWhitespace == true { words.removeFirst() }
    while words.last?.isWhitespace == true { words.removeLast() }
    return String(words)
  }
}
