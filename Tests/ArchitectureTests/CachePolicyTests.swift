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
import Scheduling
import Tensors
import TestSupport
import Testing

/// Policies of the cache on a whole model: a budget of everything changes nothing, and devices agree.
@Suite(.serialized) struct CachePolicyTests {
  private static let context = 512
  private static let tokens: [Int32] = (0..<170).map { Int32(($0 * $0 + 7 * $0) % 61) }
  /// Tokens of the prompt.
  private static let prompt = 150

  private struct Setting: CustomStringConvertible {
    var method: CachePolicy.Method
    var budget: Int?
    var activations = ActivationFormat.int8
    var element = KVLayout.Element.f16
    /// Whether rows read the tokens of their own window apart.
    var keepsLatest: Bool { element.keyBits < 8 && activations == .int8 }
    var description: String { "\(method) \(budget ?? 0) \(activations) \(element)" }
  }

  private static let file = Result {
    var tiny = TinyModel()
    tiny.layers = 3
    tiny.width = 128
    tiny.context = context
    let disk = tiny.write()
    return (disk, try GGUFFile(path: disk.path))
  }

  private func loop(
    _ setting: Setting, on device: any Device, pages: Int = context / 16
  ) throws -> EngineLoop {
    let (_, file) = try Self.file.get()
    let model = try Model(file, activations: setting.activations)
    let policy = try CachePolicy(
      setting.method, budget: setting.budget, pageTokens: 16, window: setting.keepsLatest ? 4 : 1)
    var planner = Planner(
      bounds: SymbolSizes(
        rows: setting.activations == .f32 ? 1 : 64, outputs: setting.activations == .f32 ? 1 : 64),
      pageCount: pages,
      element: setting.activations == .f32 ? .f32 : setting.element)
    planner.rotates = setting.element.keyBits < 8 && !setting.element.keysByElement
    planner.keepsLatest = setting.keepsLatest
    planner.reading = policy.pages.map {
      PageReading(
        pages: $0,
        chooser: policy.evicts
          ? .mass(rows: policy.observedRows) : setting.method == .quest ? .scores : .step,
        firstLayer: policy.denseLayers, window: policy.window,
        turnsSinks: policy.method == .sinksTurned)
    }
    let plan = try planner.plan(model.graph, on: [device])
    return try EngineLoop(
      plan, devices: [device], weights: file, contextLength: Self.context, policy: policy)
  }

  /// Logits of so many tokens, but for the prompt's; of its last four where there is no more.
  private func rows(_ loop: EngineLoop, _ count: Int = tokens.count) throws -> [[Float]] {
    var rows: [[Float]] = []
    try loop.evaluate(
      Array(Self.tokens.prefix(count)), wantedFrom: min(Self.prompt, count - 4)
    ) { rows.append(Array($1)) }
    return rows
  }

  /// Logits of every token that follows the prompt.
  private func logits(_ setting: Setting, on device: any Device) throws -> [[Float]] {
    let loop = try loop(setting, on: device)
    let rows = try rows(loop)
    #expect(loop.freePages == Self.context / 16)
    return rows
  }

  private static let policies = CachePolicy.Method.allCases.filter { $0 != .full }

  /// On every device but the interpreter: a budget of everything gives the logits of no policy, and what a
  /// smaller one gives is the same everywhere.
  @Test(arguments: [KVLayout.Element.f16, .bf16, .i16, .q8, .q4, .k4v2, .k2v2])
  func devicesAgree(element: KVLayout.Element) throws {
    let reference = ReferenceDevice()
    let full = try logits(Setting(method: .full, budget: nil, element: element), on: reference)
    // Seven of eleven pages: room beside a window, which a row may read in any case.
    let few = 112
    #expect(full.count == Self.tokens.count - Self.prompt)
    let wanted = try Self.policies.map {
      try logits(Setting(method: $0, budget: few, element: element), on: reference)
    }
    // They do choose, each in its way.
    #expect(Set(wanted + [full]).count == Self.policies.count + 1)
    // rusticl builds kernels anew for each launch, and those of codes for minutes.
    let found = OpenCLDevices.list().devices.filter {
      $0.platform != "Oclgrind" && (element == .f16 || $0.platform != "rusticl")
    }
    let devices: [any Device] =
      [reference, CPUDevice(threads: 1), CPUDevice(threads: 2)]
      + (try found.map { try OpenCLDevice(index: $0.index) })
    for device in devices {
      // llvmpipe takes a second for a token: there, the policy that has kernels of its own.
      let isSlow = device.traits.driver.hasPrefix("rusticl")
      for (method, wanted) in zip(Self.policies, wanted) where !isSlow || method == .quest {
        let all = Setting(method: method, budget: 176, element: element)
        #expect(try logits(all, on: device) == full, "\(all) on \(device.traits.name)")
        let some = Setting(method: method, budget: few, element: element)
        #expect(try logits(some, on: device) == wanted, "\(some) on \(device.traits.name)")
      }
    }
  }

  /// With one layer, keys and values depend on nothing but their token and its place: then rows that read the first page
  /// and the last ones as if no others had been have the logits of the text without those others.
  @Test func turnedSinksAreThoseOfAShorterText() throws {
    var tiny = TinyModel()
    (tiny.layers, tiny.width, tiny.context) = (1, 128, Self.context)
    let disk = tiny.write()
    let file = try GGUFFile(path: disk.path)
    func loop(_ method: CachePolicy.Method) throws -> EngineLoop {
      let policy = try CachePolicy(method, budget: method == .full ? nil : 80, pageTokens: 16)
      var planner = Planner(
        bounds: SymbolSizes(rows: 64, outputs: 64), pageCount: Self.context / 16, element: .f32)
      planner.reading = policy.pages.map {
        PageReading(
          pages: $0, chooser: .step, firstLayer: 0, turnsSinks: method == .sinksTurned)
      }
      let device = CPUDevice(threads: 1)
      let plan = try planner.plan(try Model(file, activations: .f32).graph, on: [device])
      return try EngineLoop(
        plan, devices: [device], weights: file, contextLength: Self.context, policy: policy)
    }
    func rows(_ loop: EngineLoop, _ tokens: [Int32], from first: Int) throws -> [[Float]] {
      var rows: [[Float]] = []
      try loop.evaluate(tokens, wantedFrom: first) { rows.append(Array($1)) }
      return rows
    }
    func distance(_ a: [Float], _ b: [Float]) -> Float {
      zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }
    let (full, turned, plain) = (try loop(.full), try loop(.sinksTurned), try loop(.sinks))
    let found = try rows(turned, Self.tokens, from: 60)
    let others = try rows(plain, Self.tokens, from: 60)
    let all = try rows(full, Self.tokens, from: 60)
    var furthest: Float = 0
    for (index, position) in (60..<Self.tokens.count).enumerated() {
      let held = position / 16 + 1
      guard held > 5 else {
        #expect(distance(found[index], all[index]) < 1e-4)
        continue
      }
      let shorter = Self.tokens[..<16] + Self.tokens[(held - 4) * 16...position]
      let wanted = try rows(full, Array(shorter), from: shorter.count - 1)[0]
      #expect(distance(found[index], wanted) < 1e-4, "\(position)")
      furthest = max(furthest, distance(others[index], wanted))
    }
    #expect(furthest > 1e-3)
  }

  /// In single precision too, where steps of one row compare with steps of one row.
  @Test func aBudgetOfEverythingGivesTheLogitsOfFull() throws {
    for device in [ReferenceDevice(), CPUDevice(threads: 1)] as [any Device] {
      let full = Setting(method: .full, budget: nil, activations: .f32)
      let dense = try logits(full, on: device)
      for method in Self.policies {
        let setting = Setting(method: method, budget: 176, activations: .f32)
        #expect(try logits(setting, on: device) == dense, "\(setting) on \(device.traits.name)")
      }
    }
  }

  /// Pages that no head keeps go back to the pool behind the prompt, and come back from it when they are needed; the next
  /// request finds all pages free, and nothing of this one.
  @Test func droppedPagesAreFree() throws {
    for method in [CachePolicy.Method.h2o, .snapkv, .pyramid, .zipvl] {
      let loop = try loop(Setting(method: method, budget: 48), on: CPUDevice(threads: 1))
      var request = GenerationRequest(
        prompt: Array((0..<440).map { Int32($0 * 7 % 61) }),
        sampling: SamplingParameters(), limit: 80, endTokens: [], keepsCache: true)
      request.sampling.temperature = 0
      var texts: [[Int32]] = [[], []]
      for index in texts.indices {
        let report = try loop.generate(request, isCancelled: { false }) {
          texts[index].append($0)
          return true
        }
        #expect(report.reusedTokens == 0 && report.finish == .contextFull(tokens: Self.context))
        // 28 pages, of which three layers keep three.
        #expect(loop.droppedPages == 25)
        #expect(loop.freePages == Self.context / 16 && loop.keptPages == 0)
      }
      #expect(texts[0] == texts[1])
    }
  }

  /// Whichever page cannot be had, under whichever policy: the request ends with a sentence, all pages are back, and
  /// what has room is computed as ever.
  @Test(arguments: CachePolicy.Method.allCases) func anyPageMayBeMissing(
    method: CachePolicy.Method
  ) throws {
    let setting = Setting(method: method, budget: method == .full ? nil : 64)
    let enough = KVLayout.pages(Self.tokens.count)
    let wanted = try rows(loop(setting, on: CPUDevice(threads: 1), pages: enough), 16)
    // A page of the prompt, or where none is dropped behind it, of what follows.
    let policy = try CachePolicy(method, budget: setting.budget, pageTokens: KVLayout.pageTokens)
    for pages in 1..<(policy.evicts ? KVLayout.pages(Self.prompt) : enough) {
      let loop = try loop(setting, on: CPUDevice(threads: 1), pages: pages)
      let error = #expect(throws: EngineError.self) { try rows(loop) }
      guard case .scheduling(.cacheFull)? = error else {
        Issue.record("\(pages) pages: \(String(describing: error))")
        continue
      }
      #expect(loop.freePages == pages && loop.keptPages == 0)
      #expect(try rows(loop, 16) == wanted)
    }
    #expect(try rows(loop(setting, on: CPUDevice(threads: 1), pages: enough)).count == 20)
  }

  /// Timed runs keep pages of their prompt anew each time, whether tokens stand before it or not.
  @Test func timedRunsKeepPages() throws {
    for method in [CachePolicy.Method.h2o, .snapkv, .pyramid, .zipvl] {
      for (depth, prompt, generated) in [(0, 150, 4), (150, 0, 4), (150, 100, 4), (150, 1, 0)] {
        let loop = try loop(Setting(method: method, budget: 48), on: CPUDevice(threads: 1))
        let request = TimingRequest(
          depth: depth, prompt: prompt, generated: generated, repetitions: 2, warmsUp: true)
        #expect(try loop.time(request).count == 2)
        #expect(loop.droppedPages == KVLayout.pages(depth + prompt) - 3)
        #expect(loop.freePages == Self.context / 16)
      }
    }
  }

  /// What is taken back and written anew leaves nothing behind: neither keys nor bounds of them.
  @Test func aKeptCacheChangesNothing() throws {
    for makeDevice in [{ CPUDevice(threads: 1) }, { ReferenceDevice() }] as [() -> any Device] {
      let setting = Setting(method: .quest, budget: 64)
      let kept = try loop(setting, on: makeDevice())
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
        _ = try loop(setting, on: makeDevice()).generate(request, isCancelled: { false }) {
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
