import CPUBackend
import Devices
import OpSuite
import OpenCLBackend
import Testing

/// Operations at the sizes of real models, which are timed and not compared.
@Suite(.serialized) struct TimingTests {
  /// Names by which `--filter` finds what it looks for.
  @Test func casesAreThoseOfModels() {
    let titles = OpSuite.timingCases.map { "\($0.key) \($0.title)" }
    #expect(Set(titles).count == titles.count, "each is there once")
    for part in [
      "linear Q4_1 × int8 SmolLM2 ffn_up, 1 × 576 → 1536",
      "linear Q6_K × int8 Qwen 1.5B ffn_down, 512 × 8960 → 1536",
      "linear Q8_0 × int8 SmolLM2 output, 1 × 576 → 49152", "linear F16 × f32 Qwen 0.5B attn_k",
      "attend f16 SmolLM2 attention, 1 of 7000",
    ] {
      #expect(titles.contains { $0.contains(part) }, "\(part)")
    }
    // Rows of 576 are no whole blocks of 256.
    #expect(!titles.contains { $0.contains("Q4_K × int8 SmolLM2 ffn_up") })
  }

  /// What a launch costs is counted as for profiles, and takes time that grows with it.
  @Test func aCaseIsTimedOnEveryDevice() throws {
    var devices: [any Device] = [CPUDevice(threads: 1)]
    if OpenCLDevices.list().reason == nil { devices.append(try OpenCLDevice(index: 0)) }
    let cases = OpSuite.timingCases
    let small = try #require(
      cases.first { $0.title.hasPrefix("SmolLM2 attn_k, 1 ") && $0.key.type == "Q4_0 × int8" })
    let large = try #require(
      cases.first { $0.title.hasPrefix("Qwen 1.5B ffn_up, 1 ") && $0.key.type == "Q4_0 × int8" })
    let attention = try #require(cases.first { $0.title == "SmolLM2 attention, 1 of 512" })
    for device in devices {
      let before = device.ledger.current
      let (quick, slow) = (try small.time(on: device), try large.time(on: device))
      let (first, second) = (try #require(quick), try #require(slow))
      #expect(first.seconds > 0 && second.seconds > 3 * first.seconds)
      #expect(first.work.flops == 2 * 576 * 192 && second.work.flops == 2 * 1536 * 8960)
      #expect(second.work.bytes > 1536 * 8960 * 18 / 32)
      let seen = try #require(try attention.time(on: device))
      #expect(seen.work.flops == 4 * 9 * 64 * 512 && seen.seconds > 0)
      #expect(device.ledger.current == before, "all memory is back")
    }
  }
}
