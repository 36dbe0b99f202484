import CPUBackend
import Devices
import OpSuite
import Testing

/// Behind an int8 rounding the smallest difference grows, so devices must agree to the last bit.
@Suite struct ExactnessTests {
  @Test(arguments: InstructionSet.available, [1, 2])
  func givesTheBitsOfTheReference(instructions: InstructionSet, threads: Int) {
    let device = CPUDevice(threads: threads, instructions: instructions)
    // Float rows may be summed in any order.
    let rows = OpSuite.check(device).filter {
      $0.key.name != "linear" || !$0.key.type.hasSuffix("× f32")
    }
    #expect(rows.count >= 16)
    for row in rows {
      #expect(row.failure == nil, "\(row.key), \(device.traits.driver)")
      #expect(row.worstError == 0, "\(row.key), \(device.traits.driver)")
    }
  }
}
