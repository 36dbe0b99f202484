import Devices
import ModelGraph
import Tensors

/// Fused operations against their parts.
extension OpSuite {
  /// One token as in decoding, and many; more outputs than a tile has, and fewer.
  private static let rowCounts = [1, 3, 0]

  static func fusedCases() -> [OpCase] {
    // A type of each kind of block; what a kernel makes of a block is tested with linear layers.
    let types: [ElementType] = [.q4_0, .q4_1, .q5_0, .q8_0, .q2_K, .q4_K, .q6_K, .iq4_NL]
    return normQuantizeCases() + gatedQuantizeCases()
      + types.flatMap { type in
        rowCounts.flatMap { rows in
          [
            linearAddCase(type, rows: rows, outputs: 33, blocks: 2, hasBias: rows == 3),
            linearAddCase(type, rows: rows, outputs: 96, blocks: 3, hasBias: false),
            gatedCase(type, rows: rows, outputs: 32, blocks: 2, .silu, hasNorm: true),
            gatedCase(type, rows: rows, outputs: 96, blocks: 1, .gelu, hasNorm: false),
            inputsCase(type, rows: rows, heads: (2, 1, 64), .adjacent, hasNorm: true),
            inputsCase(type, rows: rows, heads: (3, 3, 32), .halves, hasNorm: false),
            inputsCase(type, rows: rows, heads: (2, 2, 80), .halves, hasNorm: true),
            inputsCase(type, rows: rows, heads: (2, 1, 64), .halves, hasNorm: false),
            inputsCase(type, rows: rows, heads: (2, 1, 64), .halves, hasNorm: true, element: .f32),
            inputsCase(
              type, rows: rows, heads: (3, 3, 32), .adjacent, hasNorm: false, element: .f32),
          ]
        }
      } + types.flatMap(promptCases)
      // More rows, and more blocks, than are worked on together: nothing is added before the last of these.
      + [
        linearAddCase(.q4_1, rows: 258, outputs: 17, blocks: 25, hasBias: true),
        linearAddCase(.q4_1, rows: 1, outputs: 17, blocks: 513, hasBias: false),
      ] + writtenCases() + attendQuantizeCases()
  }

  /// As a prompt has them: rows for which weights may wait, and more than they wait for.
  private static func promptCases(_ type: ElementType) -> [OpCase] {
    [
      linearAddCase(type, rows: 5, outputs: 17, blocks: 1, hasBias: true),
      linearAddCase(type, rows: 65, outputs: 33, blocks: 2, hasBias: false),
    ]
  }

  /// Forms that write small numbers or codes, or rotate before they write: what is written does not depend on the weights' type.
  private static func writtenCases() -> [OpCase] {
    let forms =
      [KVLayout.Element.bf16, .q8, .q4, .k4v2].map { ($0, false) }
      + KVLayout.Element.allCases.filter { !$0.keysByElement }.map { ($0, true) }
    return forms.flatMap { element, isRotated in
      func form(
        _ rows: Int, _ heads: (query: Int, kv: Int, width: Int), _ pairing: Rope.Pairing,
        hasNorm: Bool
      ) -> OpCase {
        inputsCase(
          .q4_1, rows: rows, heads: heads, pairing, hasNorm: hasNorm, element: element,
          isRotated: isRotated)
      }
      return [
        form(1, (2, 1, 64), .halves, hasNorm: true),
        form(isRotated ? 1 : 3, (3, 3, 32), .adjacent, hasNorm: false),
        form(1, (1, 1, 32), .halves, hasNorm: true), form(1, (1, 1, 32), .halves, hasNorm: false),
      ]
    }
  }

  /// Width of so many blocks of a type, as wide as int8 blocks at least.
  private static func width(_ type: ElementType, _ blocks: Int) -> Int { type.blockLength * blocks }

  private static func parameter(
    _ name: String, _ type: ElementType, rows: Int, width: Int, _ data: inout CaseData
  ) -> OpCase.Parameter {
    OpCase.Parameter(
      weight: described(name, type, rows: rows, width: width),
      bytes: type == .f32
        ? rawBytes(data.floats(rows * width))
        : data.weights(type, rows * width, scale: 0.1))
  }

  private static func linear(_ parameter: OpCase.Parameter, bias: OpCase.Parameter? = nil) -> Linear
  {
    guard let weight = parameter.weight else { preconditionFailure("a layer has a weight") }
    return Linear(weight: weight, bias: bias?.weight, activations: .int8)
  }

  private static func norm(_ parameter: OpCase.Parameter) -> RMSNorm {
    guard let weight = parameter.weight else { preconditionFailure("a norm has a weight") }
    return RMSNorm(weight: weight, epsilon: 1e-5)
  }

  /// x as floats to be normed, or as int8 blocks.
  private static func input(
    _ rows: Int, _ width: Int, asBlocks: Bool, _ data: inout CaseData
  ) -> OpCase.Input {
    let x = data.floats(rows * width)
    return asBlocks
      ? OpCase.Input(
        rows: .symbol(.rows), width: width, format: .int8Blocks, bytes: int8Rows(x, width: width))
      : floatRows(x, width: width)
  }

  private static func shape(_ width: Int, _ format: Format) -> OpCase.Shape {
    (.symbol(.rows), width, format)
  }

  /// The norm of input 0 as int8 blocks; its weight is parameter 0.
  private static func normed(_ norm: RMSNorm, into place: OpCase.Place) -> OpCase.Part {
    let width = norm.weight.width
    let between = OpCase.Place.between(0, shape(width, .f32))
    return OpCase.Part(
      operation: .fused(.normQuantize(norm)), inputs: [.input(0)], output: place,
      parts: [
        .init(
          operation: .pure(.rmsNorm(norm)), inputs: [.input(0)], parameters: [0], output: between),
        .init(operation: .quantize, inputs: [between], output: place),
      ])
  }

  private static func normQuantizeCases() -> [OpCase] {
    [(1, 32), (3, 576), (33, 160), (2, 1536), (0, 64)].map { rows, width in
      var data = CaseData(seed: rows + width)
      let weight = parameter("norm", .f32, rows: 1, width: width, &data)
      let whole = normed(norm(weight), into: .output)
      return OpCase(
        title: "rows \(rows), width \(width)", operation: whole.operation,
        inputs: [input(rows, width, asBlocks: false, &data)], parameters: [weight],
        output: shape(width, .int8Blocks), parts: whole.parts,
        sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: roundingTolerance)
    }
  }

  private static func gatedQuantize(
    _ activation: GatedActivation, _ gate: OpCase.Place, _ up: OpCase.Place, between: OpCase.Place
  ) -> OpCase.Part {
    OpCase.Part(
      operation: .fused(.gatedQuantize(activation)), inputs: [gate, up], output: .output,
      parts: [
        .init(operation: .pure(.gated(activation)), inputs: [gate, up], output: between),
        .init(operation: .quantize, inputs: [between], output: .output),
      ])
  }

  private static func gatedQuantizeCases() -> [OpCase] {
    [(1, 32), (3, 576), (33, 160), (2, 1536), (0, 64)].flatMap { rows, width in
      GatedActivation.allCases.map { activation in
        var data = CaseData(seed: rows + width + 1)
        let whole = gatedQuantize(
          activation, .input(0), .input(1), between: .between(0, shape(width, .f32)))
        return OpCase(
          title: "\(activation), rows \(rows), width \(width)", operation: whole.operation,
          inputs: (0..<2).map { _ in input(rows, width, asBlocks: false, &data) },
          parameters: [], output: shape(width, .int8Blocks), parts: whole.parts,
          sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: roundingTolerance)
      }
    }
  }

  /// A device that does not fuse is an ulp off, so a tie may round the other way: a step of 127 in an
  /// element or two.
  private static let roundingTolerance = 1e-6

  private static func linearAddCase(
    _ type: ElementType, rows: Int, outputs: Int, blocks: Int, hasBias: Bool
  ) -> OpCase {
    var data = CaseData(seed: rows + outputs)
    let inputs = width(type, blocks)
    var parameters = [parameter("w", type, rows: outputs, width: inputs, &data)]
    if hasBias { parameters.append(parameter("b", .f32, rows: 1, width: outputs, &data)) }
    let layer = linear(parameters[0], bias: hasBias ? parameters[1] : nil)
    let sum = OpCase.Place.between(0, shape(outputs, .f32))
    return OpCase(
      title: "rows \(rows), outputs \(outputs), inputs \(inputs)\(hasBias ? ", bias" : "")",
      operation: .fused(.linearAdd(layer)),
      inputs: [
        input(rows, inputs, asBlocks: true, &data),
        floatRows(data.floats(rows * outputs), width: outputs),
      ],
      parameters: parameters, output: shape(outputs, .f32),
      parts: [
        .init(
          operation: .pure(.linear(layer)), inputs: [.input(0)],
          parameters: Array(parameters.indices), output: sum),
        .init(operation: .pure(.add), inputs: [.input(1), sum], output: .output),
      ],
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: tolerance)
  }

  private static func gatedCase(
    _ type: ElementType, rows: Int, outputs: Int, blocks: Int, _ activation: GatedActivation,
    hasNorm: Bool
  ) -> OpCase {
    var data = CaseData(seed: rows + 3 * outputs)
    let inputs = width(type, blocks)
    let parameters =
      (hasNorm ? [parameter("norm", .f32, rows: 1, width: inputs, &data)] : [])
      + ["gate", "up"].map { parameter($0, type, rows: outputs, width: inputs, &data) }
    let first = hasNorm ? 1 : 0
    let unit = Fusion.GatedUnit(
      norm: hasNorm ? norm(parameters[0]) : nil, gate: linear(parameters[first]),
      up: linear(parameters[first + 1]), activation: activation)
    let x = hasNorm ? OpCase.Place.between(1, shape(inputs, .int8Blocks)) : .input(0)
    let (gate, up, gated) = (
      OpCase.Place.between(2, shape(outputs, .f32)), OpCase.Place.between(3, shape(outputs, .f32)),
      OpCase.Place.between(4, shape(outputs, .f32))
    )
    return OpCase(
      title: "\(activation), rows \(rows), outputs \(outputs), inputs \(inputs)",
      operation: .fused(.gatedUnit(unit)),
      inputs: [input(rows, inputs, asBlocks: !hasNorm, &data)], parameters: parameters,
      output: shape(outputs, .int8Blocks),
      parts: (unit.norm.map { [normed($0, into: x)] } ?? []) + [
        .init(
          operation: .pure(.linear(unit.gate)), inputs: [x], parameters: [first], output: gate),
        .init(
          operation: .pure(.linear(unit.up)), inputs: [x], parameters: [first + 1], output: up),
        gatedQuantize(activation, gate, up, between: gated),
      ],
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: roundingTolerance)
  }

  private static func inputsCase(
    _ type: ElementType, rows: Int, heads: (query: Int, kv: Int, width: Int),
    _ pairing: Rope.Pairing, hasNorm: Bool, element: KVLayout.Element = .f16,
    isRotated: Bool = false
  ) -> OpCase {
    var data = CaseData(seed: rows + heads.query + heads.width)
    let inputs = width(type, 2)
    let (queries, keys) = (heads.query * heads.width, heads.kv * heads.width)
    let hasBias = !hasNorm
    var parameters = hasNorm ? [parameter("norm", .f32, rows: 1, width: inputs, &data)] : []
    var layers: [(layer: Linear, parameters: [Int])] = []
    for (name, outputs) in [("q", queries), ("k", keys), ("v", keys)] {
      let first = parameters.count
      parameters.append(parameter(name, type, rows: outputs, width: inputs, &data))
      if hasBias { parameters.append(parameter("b", .f32, rows: 1, width: outputs, &data)) }
      layers.append(
        (
          linear(parameters[first], bias: hasBias ? parameters[first + 1] : nil),
          Array(first..<parameters.count)
        ))
    }
    let dimensions = heads.width == 80 ? 20 : heads.width
    let frequencies = (0..<dimensions / 2).map { 1 / (Float(1 << ($0 % 16)) + data.uniform()) }
    parameters.append(OpCase.Parameter(weight: nil, bytes: rawBytes(frequencies)))
    let rope = Rope(
      headCount: heads.query, headWidth: heads.width, dimensions: dimensions, pairing: pairing,
      frequencies: ConstantID(index: 0), magnitude: hasBias ? 1.19 : 1)
    var keyRope = rope
    keyRope.headCount = heads.kv
    let layout = KVLayout(
      headCount: heads.kv, headWidth: heads.width, element: element, isRotated: isRotated)
    let whole = Fusion.AttentionInputs(
      norm: hasNorm ? norm(parameters[0]) : nil, queries: layers[0].layer, keys: layers[1].layer,
      values: layers[2].layer, rope: rope, layout: layout)

    let x = hasNorm ? OpCase.Place.between(1, shape(inputs, .int8Blocks)) : .input(0)
    let outputs = layers.enumerated().map { index, layer in
      OpCase.Place.between(2 + index, shape(layer.layer.weight.rows, .f32))
    }
    let turnedKeys = OpCase.Place.between(5, shape(keys, .f32))
    // What is rotated, and where that goes.
    let turnedQueries = isRotated ? OpCase.Place.between(6, shape(queries, .f32)) : .output
    let (writtenKeys, writtenValues) =
      isRotated
      ? (OpCase.Place.between(7, shape(keys, .f32)), OpCase.Place.between(8, shape(keys, .f32)))
      : (turnedKeys, outputs[2])
    let rotations: [OpCase.Part] =
      [
        (turnedQueries, OpCase.Place.output, heads.query), (turnedKeys, writtenKeys, heads.kv),
        (outputs[2], writtenValues, heads.kv),
      ].map { input, output, count in
        .init(
          operation: .rotateHeads(HeadRotation(headCount: count, headWidth: heads.width)),
          inputs: [input], output: output)
      }
    let constant = [parameters.count - 1]
    let pages = 3
    let kept = layout.boundsElement
    let numbers = pages * layout.pageBytes * 8 / kept.keyBits
    return OpCase(
      title: "rows \(rows), heads \(heads.query)/\(heads.kv) × \(heads.width), inputs \(inputs)",
      operation: .fused(.attentionInputs(whole)),
      inputs: [
        input(rows, inputs, asBlocks: !hasNorm, &data),
        integers((0..<rows).map { Int32($0 * 251 + 17) }),
        // A row without a slot is skipped.
        integers((0..<rows).map { $0 == 1 ? -1 : Int32(46 - 15 * $0) }),
        OpCase.Input(
          rows: .fixed(pages), width: 1, format: .pages(layout),
          bytes: stored([Float](repeating: 7, count: numbers), kept)),
      ],
      parameters: parameters, output: shape(queries, .f32), written: 3,
      parts: (whole.norm.map { [normed($0, into: x)] } ?? [])
        + layers.enumerated().map { index, layer in
          .init(
            operation: .pure(.linear(layer.layer)), inputs: [x], parameters: layer.parameters,
            output: outputs[index])
        } + [
          .init(
            operation: .pure(.rope(rope)), inputs: [outputs[0], .input(1)], parameters: constant,
            output: turnedQueries),
          .init(
            operation: .pure(.rope(keyRope)), inputs: [outputs[1], .input(1)],
            parameters: constant, output: turnedKeys),
        ] + (isRotated ? rotations : []) + [
          .init(
            operation: .writeKV(layout), inputs: [writtenKeys, writtenValues, .input(2)],
            output: .input(3))
        ],
      sizes: SymbolSizes(rows: rows, outputs: 0), tolerance: tolerance)
  }

  /// The cases of attention whose heads are whole blocks: others are quantised apart.
  private static func attendQuantizeCases() -> [OpCase] {
    attendCases().flatMap { test -> [OpCase] in
      guard case .attend(let attention, let layout) = test.operation,
        attention.headWidth % Int8Activations.blockLength == 0, !attention.stage.leaves
      else { return [] }
      var rotated = layout
      rotated.isRotated = true
      return [attendQuantizeCase(test, attention, layout)]
        + (test.sizes.rows == 1 && !layout.element.keysByElement
          ? [attendQuantizeCase(test, attention, rotated)] : [])
    }
  }

  private static func attendQuantizeCase(
    _ test: OpCase, _ attention: Attention, _ layout: KVLayout
  ) -> OpCase {
    let between = OpCase.Place.between(0, test.output)
    let rotated = layout.isRotated ? OpCase.Place.between(1, test.output) : between
    let rotation = OpCase.Part(
      operation: .rotateHeads(
        HeadRotation(headCount: attention.headCount, headWidth: attention.headWidth)),
      inputs: [between], output: rotated)
    return OpCase(
      title: test.title, operation: .fused(.attendQuantize(attention, layout)),
      inputs: test.inputs, parameters: [], output: shape(test.output.width, .int8Blocks),
      parts: [
        .init(
          operation: test.operation, inputs: test.inputs.indices.map { .input($0) },
          output: between)
      ] + (layout.isRotated ? [rotation] : []) + [
        .init(operation: .quantize, inputs: [rotated], output: .output)
      ],
      sizes: test.sizes, tolerance: roundingTolerance)
  }
}
