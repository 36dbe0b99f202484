import Devices
import GGUF
import ModelGraph
import Models
import Planning
import Runtime
import Sampling
import TestSupport
import Testing

/// However a request ends, its pages are back, and what it leaves to others is sound.
@Suite struct PrefixTests {
  private static let context = 64
  private static let file = Result {
    let disk = TinyModel().write()
    return (disk, try GGUFFile(path: disk.path))
  }

  private func loop(_ device: any Device) throws -> EngineLoop {
    let (_, file) = try Self.file.get()
    let plan = try Planner(
      bounds: SymbolSizes(rows: 8, outputs: 8), pageCount: Self.context / 16, element: .f16
    ).plan(try Model(file, activations: .int8).graph, on: [device])
    return try EngineLoop(plan, devices: [device], weights: file, contextLength: Self.context)
  }

  private func request(_ length: Int) -> GenerationRequest {
    var sampling = SamplingParameters()
    sampling.temperature = 0
    return GenerationRequest(
      prompt: (0..<length).map { Int32($0 % 37 + 1) }, sampling: sampling, limit: 10,
      endTokens: [], keepsCache: true)
  }

  /// What a device that fails has written is not handed on.
  @Test func aFaultLeavesNothing() throws {
    let device = PartialDevice(without: "")
    let loop = try loop(device)
    let wanted = try loop.generate(request(40)).tokens
    var faults = 0
    for runs in 0..<20 {
      device.runsLeft = nil
      #expect(try loop.generate(request(20)).tokens.count == 10)
      #expect(loop.keptPages > 0)
      device.runsLeft = runs
      do { #expect(try loop.generate(request(40)).tokens == wanted) } catch {
        faults += 1
        #expect(loop.keptPages == 0)
      }
      #expect(loop.freePages == Self.context / 16)
      device.runsLeft = nil
      #expect(try loop.generate(request(40)).tokens == wanted)
    }
    #expect(faults > 5 && faults < 20)
  }

  /// A request that is stopped leaves what it has computed.
  @Test func aCancelLeavesWhatIsComputed() throws {
    let loop = try loop(PartialDevice(without: ""))
    let wanted = try loop.generate(request(40)).tokens
    for last in 0..<14 {
      loop.forget()
      var asked = 0
      _ = try loop.generate(
        request(40),
        isCancelled: {
          asked += 1
          return asked > last
        }, emit: { _ in true })
      // Steps of eight tokens, then one token each.
      let computed = last <= 5 ? 8 * last : 35 + last
      #expect(loop.freePages == 4 && loop.keptPages == (computed + 15) / 16)
      var next = request(40)
      #expect(try loop.generate(next).tokens == wanted)
      next.keepsCache = false
      #expect(try loop.generate(next).tokens == wanted)
      #expect(loop.freePages == 4)
    }
  }

  /// A text that needs all pages takes those that rest.
  @Test func restingPagesMakeRoom() throws {
    let loop = try loop(PartialDevice(without: ""))
    _ = try loop.generate(request(20)).tokens
    var other = request(50)
    other.prompt.reverse()
    #expect(try loop.generate(other).tokens.count == 10)
    #expect(loop.freePages == 4 && loop.keptPages == 4)
    #expect(throws: EngineError.self) { try loop.generate(request(65)).tokens }
  }
}
