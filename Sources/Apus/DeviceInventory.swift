import CPUBackend
import Devices
import OpSuite
import OpenCLBackend
import ReferenceBackend
import Runtime

/// The devices of this machine, for people who want to see or check them.
public enum DeviceInventory {
  /// What was found, and why there is no OpenCL device where there is none.
  public struct Listing: Sendable {
    /// In the order in which `auto` tries them.
    public var devices: [DeviceDescription]
    /// Nil where OpenCL devices were found.
    public var reason: String?
  }

  /// Lists the devices.
  public static func list() -> Listing {
    let opencl = OpenCLDevices.list()
    return Listing(
      devices: opencl.devices.map(DeviceDescription.init) + [
        DeviceDescription(CPUDevice().traits), DeviceDescription(ReferenceDevice().traits),
      ], reason: opencl.reason)
  }

  /// What a check found.
  public enum Verdict: String, Sendable {
    /// All cases within tolerance.
    case passed
    /// At least one case wrong or refused by the driver.
    case failed
    /// The device leaves the operation to the next one.
    case declined
  }

  /// An operation on an element type.
  public struct CheckRow: Sendable {
    /// The operation.
    public var operation: String
    /// The element type.
    public var type: String
    /// Cases that ran.
    public var cases: Int
    /// What came out.
    public var verdict: Verdict
    /// Worst normalised mean squared error of the cases that passed.
    public var worstError: Double
    /// What went wrong, or why it was declined.
    public var remark: String?
  }

  /// Compares every operation of a device with the reference.
  ///
  /// - Parameters:
  ///   - name: The device, as ``list()`` names it.
  ///   - tinyOnly: Only the smallest shapes.
  /// - Returns: A row for each operation and element type.
  /// - Throws: ``ApusError`` where the device cannot be opened.
  public static func check(
    _ name: String, tinyOnly: Bool = false
  ) async throws(ApusError) -> [CheckRow] {
    let device: any Device
    do throws(DeviceError) { device = try open(name) } catch { throw ApusError(error) }
    return OpSuite.check(device, tinyOnly: tinyOnly).map(CheckRow.init)
  }

  /// Opens one device by its name.
  static func open(
    _ name: String, threads: Int? = nil, usesTuning: Bool = true
  ) throws(DeviceError) -> any Device {
    switch DeviceChoice(name) {
    case .cpu: return CPUDevice(threads: threads)
    case .opencl(let index):
      let device = try OpenCLDevice(index: index, threads: threads)
      if usesTuning { device.use(TuningStore.ofUser.find(.init(device)).tuning) }
      return device
    case .reference: return ReferenceDevice()
    case .auto, nil:
      throw DeviceError(
        device: name, call: "open", status: "no such device", detail: "name one device")
    }
  }
}

extension DeviceInventory.CheckRow {
  fileprivate init(_ row: OpSuite.Row) {
    operation = row.key.name
    type = row.key.type
    cases = row.cases
    worstError = row.worstError
    if let failure = row.failure {
      (verdict, remark) = (.failed, failure)
    } else if let reason = row.declined {
      (verdict, remark) = (.declined, reason)
    } else {
      verdict = .passed
      remark =
        row.fallBacks.isEmpty
        ? nil : "passed by a plainer kernel; without it: " + row.fallBacks.joined(separator: "; ")
    }
  }
}

extension DeviceDescription {
  fileprivate init(_ device: OpenCLDevices.Description) {
    name = "opencl:\(device.index)"
    hardware = device.name
    driver = "\(device.platform) \(device.driver)"
  }
}
