package import CPUKernels
package import Tensors

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
  /// The kernels' name of the type.
  package var kernelType: cpu_type {
    switch self {
    case .f32: CPU_F32
    case .f16: CPU_F16
    case .bf16: CPU_BF16
    case .q4_0: CPU_Q4_0
    case .q4_1: CPU_Q4_1
    case .q5_0: CPU_Q5_0
    case .q5_1: CPU_Q5_1
    case .q8_0: CPU_Q8_0
    case .q2_K: CPU_Q2_K
    case .q3_K: CPU_Q3_K
    case .q4_K: CPU_Q4_K
    case .q5_K: CPU_Q5_K
    case .q6_K: CPU_Q6_K
    case .iq4_NL: CPU_IQ4_NL
    case .iq4_XS: CPU_IQ4_XS
    case .mxfp4: CPU_MXFP4
    }
  }
}
