import CPUKernels
import Tensors

/// The kernels of one instruction set that this CPU has.
package struct InstructionSet: Sendable, CustomStringConvertible {
  /// `portable`, `avx2`, `avx512-vnni`.
  package let name: String
  /// A table of functions in the binary: it never changes, and lives as long as the process.
  nonisolated(unsafe) let kernels: OpaquePointer?

  private init(_ kernels: OpaquePointer?) {
    self.kernels = kernels
    name = String(cString: cpu_kernels_name(kernels))
  }

  /// The highest.
  package static var best: InstructionSet { InstructionSet(cpu_kernels_best()) }

  /// All, from the portable one up.
  package static var available: [InstructionSet] {
    (0..<UInt32(CPU_LEVELS)).compactMap { level in
      cpu_kernels_level(cpu_level(rawValue: level)).map { InstructionSet($0) }
    }
  }

  package var description: String { name }
}

extension ElementType {
  /// The kernels' name of the type, or nil for one that they do not read.
  var kernelType: cpu_type? {
    switch self {
    case .f32: CPU_F32
    case .f16: CPU_F16
    case .q4_1: CPU_Q4_1
    case .q8_0: CPU_Q8_0
    default: nil
    }
  }
}
