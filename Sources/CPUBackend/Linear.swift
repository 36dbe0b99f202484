import CPUKernels
import Devices
import ModelGraph
import Tensors

extension CPUDevice {
  /// y = x Wᵀ + bias, for each format of weights and of x; with int8 blocks of x perhaps on top of an addend.
  func linear(
    _ layer: Linear, plus addend: UnsafePointer<Float>? = nil, _ bound: borrowing BoundInstruction
  ) {
    let weight = layer.weight
    let matrix = bound.matrix(0, weight)
    precondition(matrix.isTiled == weight.type.isQuantized, "quantised matrices are loaded")
    let arguments = cpu_linear_arguments(
      type: weight.type.kernelType, weights: matrix.start, outputs: weight.rows,
      width: weight.width,
      bias: layer.bias == nil ? nil : bound.floatWeight(1, count: weight.rows),
      input: bound.bytes(input: 0), rows: bound.rows, addend: addend, output: bound.floatOutput,
      block_rows: 0)
    if bound.inputs[0].format == .int8Blocks {
      call(cpu_linear_int8, arguments)
      return
    }
    precondition(addend == nil, "a sum is fused with products of int8 blocks only")
    if weight.type == .f32, let blas, arguments.rows >= rowsForBLAS {
      note { [unowned self] in blas.linear(arguments, pool: threads) }
    } else {
      call(cpu_linear, arguments)
    }
  }

  /// The rows of the table that the tokens name, scaled.
  func embedRows(_ embed: EmbedRows, _ bound: borrowing BoundInstruction) {
    let table = embed.table
    let matrix = bound.matrix(0, table)
    let arguments = cpu_embed_arguments(
      type: table.type.kernelType, table: matrix.start, tiled: matrix.isTiled,
      row_bytes: table.rowBytes, table_rows: table.rows, width: table.width,
      tokens: bound.integers(input: 0), rows: bound.rows, scale: embed.scale,
      output: bound.floatOutput)
    call(cpu_embed, arguments)
  }

  /// Rows of floats to rows of int8 blocks.
  func quantize(_ bound: borrowing BoundInstruction) {
    let arguments = cpu_quantize_arguments(
      input: bound.floats(input: 0), rows: bound.rows, width: bound.inputs[0].width,
      output: bound.outputAddress)
    call(cpu_quantize, arguments)
  }
}
