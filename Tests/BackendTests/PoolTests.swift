import CPUKernels
import Tensors
import TestSupport
import Testing

/// Threads on a machine that others use too.
@Suite struct PoolTests {
  /// One token through matrices such as SmolLM2's, with a process that never sleeps on all cores but one: a
  /// second thread that is without a core most of the time must not hold up the first.
  @Test func aBusyNeighbourHoldsUpLittleSlow() {
    let neighbours = Neighbours(count: max(1, Int(cpu_online()) - 1))
    defer { neighbours.leave() }
    let (one, two) = (Generation(threads: 1), Generation(threads: 2))
    // In turn, so that what the machine does meanwhile concerns both.
    var (alone, together) = ([Duration](), [Duration]())
    for _ in 0..<7 {
      alone.append(one.time())
      together.append(two.time())
    }
    let ratio = median(alone) / median(together)
    #expect(ratio > 0.7, "two threads do \(ratio) of what one does")
  }

  private func median(_ times: [Duration]) -> Duration { times.sorted()[times.count / 2] }
}

/// What a generation asks of the pool: operations that are too short to wake anyone for, one after the
/// other, for some hundred milliseconds.
private final class Generation {
  private let pool: OpaquePointer?
  private let weights: [UInt8]
  private let input = [UInt8](repeating: 1, count: Int8Activations.rowBytes(576))
  private var output = [Float](repeating: 0, count: 1536)

  init(threads: Int32) {
    pool = cpu_pool_create(threads)
    let file = [UInt8](repeating: 0x2D, count: 1536 * 576 / 32 * ElementType.q4_1.blockBytes)
    weights = tiles(.q4_1, file, rows: 1536, width: 576)
  }

  deinit { cpu_pool_destroy(pool) }

  func time() -> Duration {
    ContinuousClock().measure {
      weights.withUnsafeBytes { weights in
        input.withUnsafeBytes { input in
          output.withUnsafeMutableBufferPointer { output in
            var arguments = cpu_linear_arguments(
              type: CPU_Q4_1, weights: weights.baseAddress, outputs: 1536, width: 576, bias: nil,
              input: input.baseAddress, rows: 1, addend: nil, output: output.baseAddress,
              block_rows: 0)
            for _ in 0..<10_000 { cpu_linear_int8(cpu_kernels_best(), pool, &arguments) }
          }
        }
      }
    }
  }
}
