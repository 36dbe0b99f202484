import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import OpenCLBackend
import Planning
import ReferenceBackend
import Residency
import Runtime
import Scheduling
import Tensors
import TestSupport
import Testing

/// Prompts whose rows attend to a part of what they see, on a whole model: a share of everything changes nothing,
/// and devices agree on what less of it gives.
@Suite(.serialized) struct PromptSparsityTests {
  private static let context = 256
  private static let tokens: [Int32] = (0..<200).map { Int32(($0 * $0 + 7 * $0) % 61) }
  /// Tokens of the prompt, in steps of 64: the first sees too little to be sparse, the last is too short.
  private static let prompt = 193

  private static let file = Result {
    var tiny = TinyModel()
    tiny.layers = 3
    tiny.width = 128
    tiny.context = context
    let disk = tiny.write()
    return (disk, try GGUFFile(path: disk.path))
  }

  private func loop(_ tau: Double?, on device: any Device) throws -> EngineLoop {
    let (_, file) = try Self.file.get()
    let model = try Model(file, activations: .int8)
    var planner = Planner(
      bounds: SymbolSizes(rows: 64, outputs: 64), pageCount: Self.context / 16, element: .f16)
    planner.sparsity = tau.map {
      PromptSparsity(
        share: Int(($0 * Double(TokenChoice.whole)).rounded(.up)),
        probes: ObservedRows.count(of: 64))
    }
    let plan = try planner.plan(model.graph, on: [device])
    var sparse = SparseSteps()
    sparse.fewestTokens = 100
    return try EngineLoop(
      plan, devices: [device], weights: file, contextLength: Self.context, sparse: sparse)
  }

  /// Logits of every token that follows the prompt.
  private func logits(_ tau: Double?, on device: any Device) throws -> [[Float]] {
    let loop = try loop(tau, on: device)
    var rows: [[Float]] = []
    try loop.evaluate(Self.tokens, wantedFrom: Self.prompt, shares: true) { rows.append(Array($1)) }
    #expect(loop.freePages == Self.context / 16)
    // How a prompt was cut is in its keys and values: nobody else goes on from them.
    #expect(tau == nil || loop.keptPages == 0)
    return rows
  }

  @Test func devicesAgree() throws {
    let reference = ReferenceDevice()
    let dense = try logits(nil, on: reference)
    #expect(dense.count == Self.tokens.count - Self.prompt)
    let shares = [0.5, 0.975]
    let wanted = try shares.map { try logits($0, on: reference) }
    #expect(Set(wanted + [dense]).count == 3)
    let found = OpenCLDevices.list().devices.filter {
      $0.platform == "Portable Computing Language"
    }
    let devices: [any Device] =
      [reference, CPUDevice(threads: 1), CPUDevice(threads: 2)]
      + (try found.map { try OpenCLDevice(index: $0.index) })
    for device in devices {
      #expect(try logits(1, on: device) == dense, "\(device.traits.name)")
      for (tau, wanted) in zip(shares, wanted) {
        #expect(try logits(tau, on: device) == wanted, "\(tau) on \(device.traits.name)")
      }
    }
  }

  /// A step observes the same rows in every run: its last ones, and as many before them.
  @Test(arguments: [32, 33, 64, 250, 256])
  func observedRowsAreSeeded(rows: Int) {
    let observed = ObservedRows.choose(of: rows, position: 512)
    #expect(observed == ObservedRows.choose(of: rows, position: 512))
    #expect(observed != ObservedRows.choose(of: rows, position: 1024))
    #expect(observed.count == ObservedRows.count(of: rows) && observed == Set(observed).sorted())
    let last = (observed.count + 1) / 2
    #expect(Array(observed.suffix(last)) == Array(rows - last..<rows) && observed.first ?? -1 >= 0)
  }

  /// Steps find the rows of a prompt that are probes, however it is cut: all, the last ones, or as many again by chance.
  @Test func probesDoNotDependOnSteps() {
    for prompt in [0, 1, 2, 31, 32, 33, 64, 65, 500] {
      for probes in [PromptProbes.all, .last(32), .sampled(64)] {
        let whole = probes.among(0..<prompt, of: prompt)
        #expect(whole.count == min(prompt, probes.limit ?? prompt) && whole == Set(whole).sorted())
        #expect(whole.last ?? -1 == prompt - 1)
        let parts = stride(from: 0, to: prompt, by: 7).flatMap {
          probes.among($0..<min($0 + 7, prompt), of: prompt)
        }
        #expect(parts == whole)
      }
    }
    let sampled = PromptProbes.sampled(64).among(0..<500, of: 500)
    #expect(sampled.suffix(32) == ArraySlice(468..<500) && (sampled.first ?? 500) < 200)
  }
}
