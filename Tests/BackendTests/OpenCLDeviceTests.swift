import COpenCL
import Devices
import OpSuite
import OpenCLBackend
import Testing

/// Every OpenCL device of this machine, over all operations. An interpreter gets the tiny cases.
@Suite(.serialized) struct OpenCLDeviceTests {
  static let listing = OpenCLDevices.list()

  @Test(
    .enabled(
      if: !listing.devices.isEmpty, "no OpenCL device: \(listing.reason ?? "not listed")"),
    arguments: listing.devices)
  func passesEveryCase(_ description: OpenCLDevices.Description) throws {
    do {
      let device = try OpenCLDevice(index: description.index)
      let rows = OpSuite.check(device, tinyOnly: description.platform == "Oclgrind")
      for row in rows {
        #expect(row.failure == nil, "\(row.key) on \(description.name)")
        #expect(row.declined == nil, "\(row.key) on \(description.name)")
      }
      #expect(device.ledger.current == 0)
    }
    #expect(apus_cl_live_total() == 0)
  }
}
