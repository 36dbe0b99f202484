import Devices
import ModelGraph
import Profiling
import Tensors

/// A recording made by hand: a prefill step and three decode steps of two layers on one device, every
/// time known.
enum SampleProfile {
  static let roofline = Roofline(bandwidth: 50e9, floatRate: 250e9, integerRate: 1000e9)

  static func instruction(
    _ label: String, _ op: Op, layer: Int?, width: Int, output: Int, int8: Bool = false
  ) -> Instruction {
    func operand(_ width: Int, _ format: Format) -> Operand {
      Operand(
        region: Region(buffer: BufferID(index: 0)), rows: .symbol(.rows), width: width,
        format: format)
    }
    return Instruction(
      .pure(op), inputs: Array(repeating: operand(width, int8 ? .int8Blocks : .f32), count: 2),
      output: operand(output, .f32), label: label, layer: layer)
  }

  /// What a step runs.
  static func instructions() -> [Instruction] {
    guard let weight = Weight(name: "w", type: .q4_1, rows: 1536, width: 576),
      let norm = Weight(name: "n", type: .f32, rows: 1, width: 576),
      let head = Weight(name: "h", type: .q8_0, rows: 4096, width: 576)
    else { preconditionFailure("rows of 576 are whole blocks") }
    let layers = (0..<2).flatMap { layer in
      [
        instruction(
          "attn_norm", .rmsNorm(RMSNorm(weight: norm, epsilon: 1e-5)), layer: layer, width: 576,
          output: 576),
        instruction(
          "ffn_up", .linear(Linear(weight: weight, activations: .int8)), layer: layer, width: 576,
          output: 1536, int8: true),
        instruction("ffn_residual", .add, layer: layer, width: 576, output: 576),
      ]
    }
    return layers + [
      instruction(
        "output", .linear(Linear(weight: head, activations: .int8)), layer: nil, width: 576,
        output: 4096, int8: true)
    ]
  }

  /// Launches of a step that begins at `start`: launch i takes (i + 1) × 100 ns × rows, with 50 ns between
  /// them, and is enqueued 1000 ns before it runs.
  static func launches(
    step: Int, _ phase: Profile.Phase, rows: Int, from start: Int64
  ) -> [Profile.Launch] {
    var reached = start
    return instructions().enumerated().map { index, instruction in
      let ended = reached + Int64((index + 1) * 100 * rows)
      defer { reached = ended + 50 }
      let record = LaunchRecord(
        instruction, sizes: SymbolSizes(rows: rows, outputs: rows), variant: "test/\"kernel\" 1×1",
        times: LaunchRecord.Times(
          enqueued: reached - 1000, queued: reached - 900, submitted: reached - 500,
          started: reached, ended: ended))
      return Profile.Launch(device: 0, step: step, phase: phase, record: record)
    }
  }

  static let start: Int64 = 7_000_000_000

  static var profile: Profile {
    var launches = launches(step: 0, .prefill, rows: 32, from: start + 5_000)
    var spans = [
      Profile.Span(.requests, "request 0", started: start, ended: start + 300_000),
      Profile.Span(.steps, "prefill", started: start + 1_000, ended: start + 150_000),
      Profile.Span(.host, "submit", started: start + 2_000, ended: start + 140_000),
    ]
    for step in 1...3 {
      let from = start + 150_000 + Int64(step - 1) * 50_000
      launches += Self.launches(step: step, .decode, rows: 1, from: from + 5_000)
      spans.append(Profile.Span(.steps, "decode", started: from, ended: from + 20_000))
      spans.append(Profile.Span(.host, "submit", started: from + 1_000, ended: from + 19_000))
    }
    return Profile(
      model: "a model <of> \"tests\" & such",
      devices: [
        Profile.OnDevice(
          traits: DeviceTraits(
            kind: .opencl, name: "opencl:0", hardware: "paper", driver: "none",
            largestAllocation: 1, alignment: 1, readsMappedWeights: false),
          roofline: roofline)
      ],
      summaries: [
        .prefill: Profile.Summary(
          tokens: 32, steps: 1, started: start, ended: start + 150_000),
        .decode: Profile.Summary(
          tokens: 3, steps: 3, started: start + 150_000, ended: start + 300_000),
      ], spans: spans, launches: launches)
  }
}
