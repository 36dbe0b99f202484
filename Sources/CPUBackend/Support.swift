import CPUKernels
package import Devices
import ModelGraph
import Tensors

extension CPUDevice {
  package func support(_ operation: Operation, input: Format) -> Support {
    if let reason = declined[OperationKey(operation, input: input)] {
      return .declined(reason: reason)
    }
    switch operation {
    case .pure(.attention):
      return .declined(reason: "attention runs over a cache: planning lowers it to attend")
    case .fused(let fusion) where !isOneKernel(operation):
      return .declined(reason: "\(fusion.name) runs as its parts")
    case .fused(.linearAdd(let layer)):
      return input == .int8Blocks
        ? linearSupport(layer, input: input)
        : .declined(reason: "a sum is fused with products of int8 blocks only")
    case .pure(.linear(let layer)):
      return linearSupport(layer, input: input)
    case .attend(let attention, _) where attention.headWidth > Int(CPU_MAX_HEAD_WIDTH),
      .scorePages(let attention, _) where attention.headWidth > Int(CPU_MAX_HEAD_WIDTH),
      .weighRows(let attention, _) where attention.headWidth > Int(CPU_MAX_HEAD_WIDTH),
      .sumColumns(let attention, _) where attention.headWidth > Int(CPU_MAX_HEAD_WIDTH):
      return .declined(
        reason: "heads are \(attention.headWidth) wide; the kernel takes \(CPU_MAX_HEAD_WIDTH)")
    case .gatherTokens(let layout) where layout.element.hasCodes:
      return .declined(reason: "tokens are gathered from pages of floats")
    case .writeKV(let layout) where layout.element.keysByElement:
      return .declined(reason: "keys of a page are quantised together, from the latest tokens")
    case .copyKV(let layout) where layout.headWidth > Int(CPU_MAX_HEAD_WIDTH):
      return .declined(
        reason: "heads are \(layout.headWidth) wide; the kernel takes \(CPU_MAX_HEAD_WIDTH)")
    case .pure(.selectRows): return .native(variant: "memcpy")
    case .fused, .pure(.embedRows), .pure(.rmsNorm), .pure(.rope), .pure(.add), .pure(.gated),
      .quantize, .rotateHeads, .writeKV, .copyKV, .boundPages, .scorePages, .choosePages,
      .weighRows,
      .sumColumns, .chooseTokens, .placeTokens, .gatherTokens, .attend:
      return .native(variant: instructions.name)
    }
  }

  /// Whether an operation has a kernel, which `CPUDevice.run` calls, and does not run as its parts.
  func isOneKernel(_ operation: Operation) -> Bool {
    switch operation {
    case .fused(.normQuantize), .fused(.gatedQuantize), .fused(.linearAdd): true
    case .fused: false
    default: true
    }
  }

  private func linearSupport(_ layer: Linear, input: Format) -> Support {
    let type = layer.weight.type
    guard input == .f32 || (input == .int8Blocks && type.isQuantized) else {
      return .declined(reason: "there is no kernel for \(type.name) weights with such an input")
    }
    guard type == .f32, let blas else { return .native(variant: instructions.name) }
    return .native(variant: "\(instructions.name), from \(rowsForBLAS) rows \(blas)")
  }

  /// The kernel that an instruction takes, for records.
  func variant(_ instruction: Instruction, _ sizes: SymbolSizes) -> String {
    switch instruction.operation {
    case .pure(.selectRows): "memcpy"
    case .pure(.linear(let layer))
    where layer.weight.type == .f32 && blas != nil && sizes[instruction.output.rows] >= rowsForBLAS:
      "OpenBLAS"
    default: instructions.name
    }
  }
}
