import Devices
import GGUF
import ModelGraph
import Models
import Planning
import ReferenceBackend
import Runtime
import Sampling
import Scheduling
import Synchronization
import Tensors
import TestSupport
import Testing

/// The reference, with one operation left to the next device, or one that fails.
final class PartialDevice: Device {
  private let whole = ReferenceDevice()
  private let declined: String
  /// Runs until one fails, if one is to.
  var runsLeft: Int?
  /// Allocations until one fails, if one is to.
  var allocationsLeft: Int?
  var traits: DeviceTraits { whole.traits }
  var ledger: MemoryLedger { whole.ledger }

  init(without declined: String) { self.declined = declined }

  func support(_ operation: Operation, input: Format) -> Support {
    operation.name == declined
      ? .declined(reason: "left out") : whole.support(operation, input: input)
  }
  func allocate(_ id: BufferID, bytes: Int, label: String) throws(DeviceError) {
    if let allocations = allocationsLeft {
      allocationsLeft = allocations - 1
      if allocations == 0 {
        throw DeviceError(
          device: traits.name, call: "allocate", status: "out of memory", detail: "injected")
      }
    }
    try whole.allocate(id, bytes: bytes, label: label)
  }
  func release(_ id: BufferID) { whole.release(id) }
  func residentBytes(_ weight: Weight) -> Int { whole.residentBytes(weight) }
  func load(
    _ weight: Weight, rows: Range<Int>, _ bytes: UnsafeRawBufferPointer, to region: Region
  ) throws(DeviceError) { try whole.load(weight, rows: rows, bytes, to: region) }
  func map(_ bytes: UnsafeRawBufferPointer, as id: BufferID) throws(DeviceError) {
    try whole.map(bytes, as: id)
  }
  func write(_ bytes: UnsafeRawBufferPointer, to region: Region) throws(DeviceError) {
    try whole.write(bytes, to: region)
  }
  func read(_ region: Region, into bytes: UnsafeMutableRawBufferPointer) throws(DeviceError) {
    try whole.read(region, into: bytes)
  }
  func run(_ instructions: [Instruction], sizes: SymbolSizes) throws(DeviceError) {
    for instruction in instructions where instruction.operation.name == declined {
      throw DeviceError(
        device: traits.name, call: "run", status: "declined", detail: instruction.label)
    }
    if let runs = runsLeft {
      runsLeft = runs - 1
      if runs == 0 {
        throw DeviceError(device: traits.name, call: "run", status: "gone", detail: "injected")
      }
    }
    try whole.run(instructions, sizes: sizes)
  }
}

extension EngineLoop {
  /// The whole answer to a request.
  func generate(
    _ request: GenerationRequest
  ) throws -> (tokens: [Int32], report: GenerationReport) {
    var tokens: [Int32] = []
    let report = try generate(request, isCancelled: { false }) {
      tokens.append($0)
      return true
    }
    return (tokens, report)
  }
}

@Suite struct RuntimeTests {
  private func loop(
    rows: Int = 8, context: Int = 64, devices: [any Device] = [ReferenceDevice()],
    activations: ActivationFormat = .int8
  ) throws -> EngineLoop {
    let disk = TinyModel().write()
    let file = try GGUFFile(path: disk.path)
    let model = try Model(file, activations: activations)
    let plan = try Planner(
      bounds: SymbolSizes(rows: rows, outputs: rows), pageCount: (context + 15) / 16, element: .f16
    ).plan(model.graph, on: devices)
    return try EngineLoop(plan, devices: devices, weights: file, contextLength: context)
  }

  private func request(
    _ prompt: [Int32], limit: Int = 10, end: Set<Int32> = []
  ) -> GenerationRequest {
    var sampling = SamplingParameters()
    sampling.temperature = 0
    return GenerationRequest(prompt: prompt, sampling: sampling, limit: limit, endTokens: end)
  }

  private func logits(_ loop: EngineLoop, _ tokens: [Int32]) throws -> [[Float]] {
    var rows: [[Float]] = []
    try loop.evaluate(tokens, wantedFrom: 0) { rows.append(Array($1)) }
    return rows
  }

  private let text: [Int32] = [1, 20, 33, 4, 5, 60, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]

  @Test func logitsDoNotDependOnHowThePromptIsCut() throws {
    let whole = try logits(loop(rows: 32), text)
    #expect(whole.count == text.count && whole[0].count == 65)
    for rows in [1, 3, 16] { #expect(try logits(loop(rows: rows), text) == whole) }
  }

  @Test func laterTokensDoNotChangeEarlierLogits() throws {
    let loop = try loop()
    let long = try logits(loop, text)
    let short = try logits(loop, Array(text.prefix(7)))
    #expect(Array(long.prefix(7)) == short)
    #expect(long[3] != long[4])
  }

  @Test func generationContinuesWhatEvaluationPredicts() throws {
    let loop = try loop()
    let (tokens, report) = try loop.generate(request(Array(text.prefix(5)), limit: 6))
    let rows = try logits(loop, Array(text.prefix(5)) + tokens)
    for (index, token) in tokens.enumerated() {
      #expect(Sampler.likeliest(rows[4 + index]) == token)
    }
    #expect(tokens.count == 6 && report.finish == .limit && report.generatedTokens == 6)
    #expect(loop.freePages == 4)
  }

  @Test func generationEndsForEachReason() throws {
    let loop = try loop(context: 16)
    let free = loop.freePages
    let prompt = Array(text.prefix(4))
    let (tokens, _) = try loop.generate(request(prompt, limit: 5))
    let ended = try loop.generate(request(prompt, limit: 5, end: [tokens[0]]))
    #expect(ended.report.finish == .endToken(tokens[0]) && ended.tokens.isEmpty)
    let full = try loop.generate(request(prompt, limit: 100))
    #expect(full.report.finish == .contextFull(tokens: 16) && full.tokens.count == 13)
    let exact = try loop.generate(request(prompt, limit: 13))
    #expect(exact.report.finish == .limit)
    let nothing = try loop.generate(request(prompt, limit: 0))
    #expect(nothing.tokens.isEmpty && nothing.report.finish == .limit)
    #expect(loop.freePages == free)
  }

  @Test func aCancelTakesEffectWithinAStep() throws {
    let loop = try loop()
    var asked = 0
    var tokens = 0
    let report = try loop.generate(
      request(text, limit: 50),
      isCancelled: {
        asked += 1
        return asked > 6
      },
      emit: { _ in
        tokens += 1; return true
      })
    #expect(report.finish == .cancelled)
    // Three steps of prompt, then one token a step.
    #expect(asked == 7 && tokens == 4)
    let stopped = try loop.generate(
      request(text, limit: 50), isCancelled: { false }, emit: { _ in false })
    #expect(stopped.finish == .cancelled && stopped.generatedTokens == 1)
    #expect(loop.freePages == 4)
  }

  /// What is kept changes how much is computed, never what comes out.
  @Test func aKeptCacheChangesNothing() throws {
    let loop = try loop(rows: 4)
    var first = request(Array(text.prefix(9)), limit: 5)
    first.keepsCache = true
    let begun = try loop.generate(first)
    #expect(begun.report.reusedTokens == 0 && loop.freePages == 4 && loop.keptPages == 1)
    // A continuation, one that parts ways, the same again, and one that is shorter.
    let longer = first.prompt + begun.tokens + text.suffix(4)
    let cases: [(prompt: [Int32], reused: Int)] = [
      (longer, 13), (Array(longer.prefix(11)) + [60, 61, 62], 0), (longer, 17),
      (longer, 17), (Array(longer.prefix(3)), 0), ([64, 63], 0), (Array(longer.prefix(17)), 16),
    ]
    for (prompt, reused) in cases {
      var next = request(prompt, limit: 5)
      next.keepsCache = true
      let continued = try loop.generate(next)
      let fresh = try self.loop(rows: 4).generate(request(prompt, limit: 5))
      #expect(continued.tokens == fresh.tokens && continued.report.reusedTokens == reused)
    }
    // Scoring takes nothing from there, and neither do requests that keep nothing.
    #expect(try logits(loop, text) == logits(self.loop(), text))
    #expect(loop.freePages == 4)
    _ = try loop.generate(first)
    _ = try loop.generate(request(longer))
    #expect(loop.freePages == 4)
  }

  @Test func badRequestsAreRefused() throws {
    let loop = try loop(context: 16)
    for prompt in [[], [65], [-1], Array(repeating: Int32(1), count: 17)] {
      #expect(throws: EngineError.self) { try loop.generate(request(prompt)) }
    }
    #expect(loop.freePages == 1)
  }

  @Test func transfersBetweenDevicesChangeNothing() throws {
    let whole = try logits(loop(), text)
    for operation in ["rope", "linear", "attend", "embed_rows", "quantize"] {
      let devices: [any Device] = [PartialDevice(without: operation), ReferenceDevice()]
      let split = try loop(devices: devices)
      #expect(split.plan.steps.count > 1)
      #expect(try logits(split, text) == whole, "\(operation)")
    }
  }

  @Test func allMemoryIsGivenBack() throws {
    let device = ReferenceDevice()
    try { _ = try logits(loop(devices: [device]), text) }()
    #expect(device.ledger.current == 0 && device.ledger.peak > 0)
  }

  @Test func theEngineRunsOnItsOwnThreadAndEnds() async throws {
    let engine = try await Engine { () throws(EngineError) in
      do { return try self.loop() } catch { throw EngineError.emptyPrompt }
    }
    let rows = try await engine.perform { loop throws(EngineError) in
      var count = 0
      try loop.evaluate([1, 2, 3], wantedFrom: 1) { _, _ in count += 1 }
      return count
    }
    #expect(rows == 2)
    await #expect(throws: EngineError.self) {
      try await engine.perform { loop throws(EngineError) in
        try loop.evaluate([999], wantedFrom: 0) { _, _ in }
      }
    }
    await engine.shutDown()
  }

  @Test func aLoopThatCannotBeMadeIsReported() async {
    await #expect(throws: EngineError.self) {
      _ = try await Engine { () throws(EngineError) in throw EngineError.emptyPrompt }
    }
  }
}
