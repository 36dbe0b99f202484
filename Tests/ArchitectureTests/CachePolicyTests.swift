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
import Sampling
import Tensors
import TestSupport
import Testing

/// Policies of the cache on a whole model: a budget of everything changes nothing, and devices agree.
@Suite(.serialized) struct CachePolicyTests {
  private static let context = 512
  private static let tokens: [Int32] = (0..<230).map { Int32(($0 * $0 + 7 * $0) % 61) }
  /// Tokens of the prompt.
  private static let prompt = 150

  private struct Setting: CustomStringConvertible {
    var method: CachePolicy.Method
    var budget: Int?
    var activations = ActivationFormat.int8
    var description: String { "\(method) \(budget ?? 0) \(activations)" }
  }

  private static let file = Result {
    var tiny = TinyModel()
    tiny.layers = 4
    tiny.width = 128
    tiny.context = context
    let disk = tiny.write()
    return (disk, try GGUFFile(path: disk.path))
  }

  private func loop(_ setting: Setting, on device: any Device) throws -> EngineLoop {
    let (_, file) = try Self.file.get()
    let model = try Model(file, activations: setting.activations)
    let policy = try CachePolicy(setting.method, budget: setting.budget, pageTokens: 16)
    var planner = Planner(
      bounds: SymbolSizes(
        rows: setting.activations == .f32 ? 1 : 64, outputs: setting.activations == .f32 ? 1 : 64),
      pageCount: Self.context / 16,
      element: setting.activations == .f32 ? .f32 : .f16)
    planner.reading = policy.pages.map {
      PageReading(
        pages: $0, chooser: setting.method == .quest ? .scores : .step,
        firstLayer: policy.denseLayers)
    }
    let plan = try planner.plan(model.graph, on: [device])
    return try EngineLoop(
      plan, devices: [device], weights: file, contextLength: Self.context, policy: policy)
  }

  /// Logits of every token that follows the prompt.
  private func logits(_ setting: Setting, on device: any Device) throws -> [[Float]] {
    let loop = try loop(setting, on: device)
    var rows: [[Float]] = []
    try loop.evaluate(Self.tokens, wantedFrom: Self.prompt) { rows.append(Array($1)) }
    #expect(loop.freePages == Self.context / 16)
    return rows
  }

  private func devices() throws -> [any Device] {
    let found = OpenCLDevices.list().devices.filter { $0.platform != "Oclgrind" }
    return [ReferenceDevice(), CPUDevice(threads: 1), CPUDevice(threads: 2)]
      + (try found.map { try OpenCLDevice(index: $0.index) })
  }

  /// Steps of f32 have one row each: only int8 arithmetic has the same bits for any number of rows.
  @Test(arguments: [ActivationFormat.int8, .f32])
  func aBudgetOfEverythingGivesTheLogitsOfFull(activations: ActivationFormat) throws {
    for device in try devices() {
      let full = Setting(method: .full, budget: nil, activations: activations)
      let dense = try logits(full, on: device)
      #expect(dense.count == Self.tokens.count - Self.prompt)
      for method in CachePolicy.Method.allCases where method != .full {
        let setting = Setting(method: method, budget: 240, activations: activations)
        #expect(
          try logits(setting, on: device) == dense, "\(setting) on \(device.traits.name)")
      }
    }
  }

  @Test func devicesAgreeOnWhatIsChosen() throws {
    for method in CachePolicy.Method.allCases where method != .full {
      let setting = Setting(method: method, budget: 64)
      let wanted = try logits(setting, on: ReferenceDevice())
      let full = try logits(Setting(method: .full, budget: nil), on: ReferenceDevice())
      // It does choose.
      #expect(wanted != full && wanted.count == Self.tokens.count - Self.prompt)
      for device in try devices().dropFirst() {
        #expect(try logits(setting, on: device) == wanted, "\(setting) on \(device.traits.name)")
      }
    }
  }

  /// What is taken back and written anew leaves nothing behind: neither keys nor bounds of them.
  @Test func aKeptCacheChangesNothing() throws {
    for device in [CPUDevice(threads: 1), ReferenceDevice()] as [any Device] {
      let setting = Setting(method: .quest, budget: 64)
      let kept = try loop(setting, on: device)
      var greedy = SamplingParameters()
      greedy.temperature = 0
      for (length, limit) in [(100, 70), (90, 60), (165, 20), (60, 100)] {
        // The second half differs from one to the next.
        let prompt = Self.tokens.prefix(length / 2) + Self.tokens.suffix(length - length / 2)
        var request = GenerationRequest(
          prompt: Array(prompt), sampling: greedy, limit: limit, endTokens: [])
        request.keepsCache = true
        var again: [Int32] = []
        var fresh: [Int32] = []
        let report = try kept.generate(request, isCancelled: { false }) {
          again.append($0)
          return true
        }
        _ = try loop(setting, on: device).generate(request, isCancelled: { false }) {
          fresh.append($0)
          return true
        }
        #expect(again == fresh && again.count == limit, "\(length), \(report.reusedTokens)")
      }
      try kept.evaluate([1, 2], wantedFrom: 1) { _, _ in }
      #expect(kept.freePages == Self.context / 16)
    }
  }
}
