import COpenBLAS
import CPUKernels

/// OpenBLAS, where it is installed. It runs on the thread that calls it; the pool brings threads.
struct BLAS: CustomStringConvertible {
  private let table: openblas

  init?() {
    guard let table = openblas_open()?.pointee else { return nil }
    self.table = table
  }

  /// `OpenBLAS 0.3.21 (SkylakeX)`
  var description: String {
    func text(_ bytes: UnsafePointer<CChar>?) -> String { bytes.map { String(cString: $0) } ?? "" }
    let words = text(table.get_config()).split(separator: " ").prefix(2)
    return "\(words.joined(separator: " ")) (\(text(table.get_corename())))"
  }

  /// output = input × weightsᵀ + bias over all threads of the pool, each with a range of outputs.
  func linear(_ arguments: cpu_linear_arguments, pool: borrowing ThreadPool) {
    var job = Job(table: table, arguments: arguments, threads: pool.count)
    withUnsafeMutablePointer(to: &job) { job in
      cpu_pool_run(
        pool.handle, job.pointee.tasks, true,
        { job, task in job?.assumingMemoryBound(to: Job.self).pointee.run(task) }, job)
    }
  }

  private struct Job {
    let table: openblas
    let arguments: cpu_linear_arguments
    let outputsPerTask: Int

    init(table: openblas, arguments: cpu_linear_arguments, threads: Int) {
      self.table = table
      self.arguments = arguments
      // OpenBLAS packs its operands in each call, so a task must not be too narrow.
      let share = (arguments.outputs + threads * 2 - 1) / (threads * 2)
      outputsPerTask = threads == 1 ? max(arguments.outputs, 1) : max(share, 128)
    }

    var tasks: Int { (arguments.outputs + outputsPerTask - 1) / outputsPerTask }

    func run(_ task: Int) {
      let (rows, width, outputs) = (arguments.rows, arguments.width, arguments.outputs)
      let first = task * outputsPerTask
      let count = min(outputsPerTask, outputs - first)
      guard let output = arguments.output else { return }
      if let bias = arguments.bias {
        for row in 0..<rows {
          (output + row * outputs + first).update(from: bias + first, count: count)
        }
      }
      let weights = arguments.weights?.assumingMemoryBound(to: Float.self)
      table.sgemm(
        Int32(OPENBLAS_ROW_MAJOR), Int32(OPENBLAS_PLAIN), Int32(OPENBLAS_TRANSPOSED),
        Int32(clamping: rows), Int32(clamping: count), Int32(clamping: width), 1,
        arguments.input?.assumingMemoryBound(to: Float.self), Int32(clamping: width),
        weights.map { $0 + first * width }, Int32(clamping: width),
        arguments.bias == nil ? 0 : 1, output + first, Int32(clamping: outputs))
    }
  }
}
