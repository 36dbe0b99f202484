import Devices
import ModelGraph
import Profiling
import Tensors
import Testing

@Suite struct TableTests {
  private let profile = SampleProfile.profile

  @Test(arguments: ProfileTable.Grouping.allCases, Profile.Phase.allCases)
  func rowsAddUpToTheRecords(grouping: ProfileTable.Grouping, phase: Profile.Phase) {
    let launches = profile.launches(phase)
    let table = ProfileTable(launches, on: profile.devices, by: grouping)
    let records = launches.map(\.record)
    #expect(!table.rows.isEmpty)
    #expect(table.rows.reduce(0) { $0 + $1.calls } == records.count)
    let total = records.reduce(0) { $0 + $1.times.duration }
    #expect(table.rows.reduce(0) { $0 + $1.total } == total && table.sum.total == total)
    #expect(table.rows.reduce(0) { $0 + $1.bytes } == records.reduce(0) { $0 + $1.work.bytes })
    #expect(table.rows.reduce(0) { $0 + $1.flops } == records.reduce(0) { $0 + $1.work.flops })
    #expect(abs(table.rows.reduce(0) { $0 + $1.share } - 1) < 1e-12)
    #expect(table.sum.longest == table.rows.map(\.longest).max())
    #expect(table.sum.shortest == table.rows.map(\.shortest).min())
  }

  @Test func rowsAreWhatTheirLaunchesHaveInCommon() throws {
    let decode = profile.launches(.decode)
    let byLayer = ProfileTable(decode, on: profile.devices, by: .layer)
    #expect(byLayer.rows.map(\.name) == ["layer 0", "layer 1", "outside of layers"])
    #expect(byLayer.rows.map(\.calls) == [9, 9, 3])
    #expect(byLayer.rows.map(\.total) == [1800, 4500, 2100])
    let byOp = ProfileTable(decode, on: profile.devices, by: .op)
    // 300 + 600, 200 + 500, 700, 100 + 400: longest first, ties as they came.
    #expect(byOp.rows.map(\.name) == ["ffn_residual", "ffn_up", "output", "attn_norm"])
    let byKernel = ProfileTable(decode, on: profile.devices, by: .kernel)
    #expect(Set(byKernel.rows.map(\.operation)).count == 4)
    let norm = try #require(byKernel.rows.first { $0.operation == "rms_norm f32" })
    #expect(norm.calls == 6 && norm.shortest == 100 && norm.longest == 400 && norm.mean == 250)
  }

  @Test func theRooflineIsTheNearerLimit() throws {
    let table = ProfileTable(profile.launches(.decode), on: profile.devices, by: .op)
    let row = try #require(table.rows.first { $0.name == "ffn_up" })
    // One row of 576 int8 numbers and their scales, 1536 rows of 18 blocks of 20 bytes, 1536 floats.
    let bytes = Double(576 + 18 * 8 + 1536 * 18 * 20 + 1536 * 4)
    let flops = 2.0 * 576 * 1536
    #expect(row.calls == 6 && row.bytes == 6 * Int(bytes) && row.flops == 6 * Int(flops))
    // Bytes are the limit at 50 GB/s and 1000 Gop/s.
    let share = try #require(row.rooflineShare)
    #expect(abs(share - 6 * (bytes / 50e9) / (Double(row.total) / 1e9)) < 1e-9)
    // With many rows, arithmetic is.
    let many = ProfileTable(
      SampleProfile.launches(step: 0, .prefill, rows: 4096, from: 0), on: profile.devices, by: .op)
    let prefill = try #require(many.rows.first { $0.name == "ffn_up" })
    let attainable = 2 * 4096 * flops / 1000e9
    #expect(
      abs(try #require(prefill.rooflineShare) - attainable / (Double(prefill.total) / 1e9)) < 1e-9)
    var unknown = profile.devices
    unknown[0].roofline = nil
    #expect(
      ProfileTable(profile.launches, on: unknown, by: .op).rows.allSatisfy {
        $0.rooflineShare == nil
      })
  }

  @Test func coverageCountsWhatOverlapsOnce() {
    var profile = profile
    let one = profile.coverage(.decode)
    // Seven launches of 100 … 700 ns in each of three steps, in 150 µs.
    #expect(abs(one - 3 * 2800 / 150_000) < 1e-12)
    profile.launches += profile.launches
    #expect(profile.coverage(.decode) == one)
  }

  @Test func theTextHoldsEveryRowAndTheSum() {
    let table = ProfileTable(profile.launches(.prefill), on: profile.devices, by: .op)
    let lines = table.text.split(separator: "\n")
    #expect(lines.count == 2 + table.rows.count + 1)
    #expect(lines[0].hasPrefix("op ") && lines[0].hasSuffix("roofline"))
    #expect(Set(lines.map(\.count)).count == 1, "numbers stand right")
    #expect(lines.last?.hasPrefix("all ") == true)
    #expect(profile.heading(.decode).contains("3 tokens in 3 steps, 0.2 ms, 20000.0 tokens/s"))
    #expect(profile.heading(.decode).contains("7 launches a step, which cover 5.6%"))
  }
}

@Suite struct WorkTests {
  @Test func rowsSeeWhatTheirSequenceHolds() {
    // Two sequences: rows 3 … 5 of one that sees everything before, one row of another, one that sees
    // nothing.
    let sight = Sight(
      begin: [0, 0, 0, 0, 4], end: [3, 4, 5, 9, 4], table: [0, 0, 0, 8, 8])
    #expect(sight.pairs == 3 + 4 + 5 + 9 && sight.tokens == 5 + 9)
    let window = Sight(begin: [10, 11, 12], end: [14, 15, 16], table: [0, 0, 0])
    #expect(window.pairs == 12 && window.tokens == 6)
    #expect(Sight(begin: [], end: [], table: []) == Sight())
  }

  @Test func attentionCostsWhatItSees() {
    func operand(_ width: Int, _ format: Format = .f32) -> Operand {
      Operand(
        region: Region(buffer: BufferID(index: 0)), rows: .symbol(.rows), width: width,
        format: format)
    }
    let layout = KVLayout(headCount: 3, headWidth: 64, element: .f16)
    let attention = Attention(headCount: 9, kvHeadCount: 3, headWidth: 64, scale: 1)
    let work = Operation.attend(attention, layout).work(
      inputs: [operand(576), operand(1, .pages(layout))], output: operand(576),
      sizes: SymbolSizes(rows: 2, outputs: 2),
      sight: Sight(begin: [0, 0], end: [100, 101], table: [0, 0]))
    #expect(work.flops == 4 * 9 * 64 * 201)
    #expect(work.bytesRead == 2 * 576 * 4 + 101 * 3 * 64 * 2 * 2)
    #expect(work.bytesWritten == 2 * 576 * 4 && !work.isInteger)
  }
}
