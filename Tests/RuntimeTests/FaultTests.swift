import Devices
import GGUF
import ModelGraph
import Models
import Planning
import ReferenceBackend
import Runtime
import Sampling
import Scheduling
import TestSupport
import Testing

/// Whichever allocation fails: what was taken before is given back.
@Suite struct FaultTests {
  private static let file = Result {
    let disk = TinyModel().write()
    return (disk, try GGUFFile(path: disk.path))
  }

  private func loop(_ device: any Device, pages: Int) throws -> EngineLoop {
    let (_, file) = try Self.file.get()
    let plan = try Planner(
      bounds: SymbolSizes(rows: 8, outputs: 8), pageCount: pages, element: .f16
    ).plan(try Model(file, activations: .int8).graph, on: [device])
    return try EngineLoop(plan, devices: [device], weights: file, contextLength: 160)
  }

  /// Tokens that repeat, so that guesses are right.
  private func request(_ length: Int, keepsCache: Bool, speculation: Int) -> GenerationRequest {
    var sampling = SamplingParameters()
    sampling.temperature = 0
    return GenerationRequest(
      prompt: (0..<length).map { Int32($0 % 5 + 1) }, sampling: sampling, limit: 60, endTokens: [],
      keepsCache: keepsCache, speculation: speculation)
  }

  @Test func anyBufferMayBeMissing() throws {
    let device = PartialDevice(without: "")
    let count = try loop(device, pages: 4).plan.buffers.count
    #expect(count > 2 && device.ledger.current == 0)
    for allocations in 0..<count {
      device.allocationsLeft = allocations
      #expect(throws: EngineError.self) { try loop(device, pages: 4) }
      #expect(device.ledger.current == 0)
    }
    device.allocationsLeft = count
    #expect(try loop(device, pages: 4).freePages == 4)
    #expect(device.ledger.current == 0)
  }

  /// A pool of fewer pages than a request needs: of the prompt, or of what follows it.
  @Test(arguments: [0, 5], [false, true]) func anyPageMayBeMissing(
    speculation: Int, keepsCache: Bool
  ) throws {
    let long = request(70, keepsCache: keepsCache, speculation: speculation)
    let short = request(10, keepsCache: keepsCache, speculation: speculation)
    let wanted = try loop(ReferenceDevice(), pages: 9).generate(long).tokens
    #expect(wanted.count == 60)
    for pages in 1..<9 {
      let loop = try loop(ReferenceDevice(), pages: pages)
      var emitted: [Int32] = []
      let error = #expect(throws: EngineError.self) {
        _ = try loop.generate(long, isCancelled: { false }) {
          emitted.append($0)
          return true
        }
      }
      guard case .scheduling(.cacheFull)? = error else {
        Issue.record("\(pages) pages: \(String(describing: error))")
        continue
      }
      #expect(emitted == Array(wanted.prefix(emitted.count)) && emitted.isEmpty == (pages < 5))
      #expect(loop.freePages == pages && loop.keptPages == 0)
      if pages == 1 { continue }
      var next = short
      next.limit = 16 * pages - 10
      let fresh = try self.loop(ReferenceDevice(), pages: 9).generate(next).tokens
      #expect(try loop.generate(next).tokens == fresh)
      #expect(loop.freePages == pages)
    }
  }
}
