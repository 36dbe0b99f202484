import GGUF
import ModelGraph
import Models
import Tensors
import Tokenization

/// What is in a model file, for people.
public struct ModelInspection: Sendable {
  /// A tensor of the file.
  public struct Tensor: Sendable {
    /// Its name.
    public var name: String
    /// Its element type.
    public var type: String
    /// Its extents, the contiguous one first.
    public var shape: [Int]
    /// Its size.
    public var bytes: Int
  }

  /// A file that the model lies in; a split model has several.
  public struct File: Sendable {
    /// Where it lies.
    public var path: String
    /// Its size.
    public var bytes: Int
    /// How many tensors it holds.
    public var tensors: Int
  }

  /// An operation of the model's graph.
  public struct GraphRow: Sendable {
    /// Label and layer.
    public var node: String
    /// Operation and the weights that it reads.
    public var operation: String
    /// Names of the values that it reads.
    public var inputs: [String]
    /// Name and shape of its result.
    public var output: String
  }

  private let file: GGUFFile

  /// Opens a file.
  public init(path: String) throws(ApusError) {
    file = try GGUFFile.open(path)
  }

  /// The file's version of the format.
  public var version: Int { Int(file.version) }

  /// Size of all files together.
  public var fileBytes: Int { file.fileBytes }

  /// The files that the model lies in, in order.
  public var files: [File] {
    file.files.map { File(path: $0.path, bytes: $0.bytes, tensors: $0.tensors) }
  }

  /// Metadata in the order of the file, long values cut short.
  public var metadata: [(key: String, value: String)] {
    file.metadata.keys.map { ($0, file.metadata[$0]?.summary ?? "") }
  }

  /// The tensors in the order of the file.
  public var tensors: [Tensor] {
    file.tensors.map {
      Tensor(name: $0.name, type: $0.type.name, shape: $0.shape, bytes: $0.bytes)
    }
  }

  /// One line: files where there are several, tensors by type, numbers and bytes in all.
  public var summary: String {
    var counts: [String: Int] = [:]
    for tensor in file.tensors { counts[tensor.type.name, default: 0] += 1 }
    let types = counts.sorted { $0.value > $1.value }.map { "\($0.value) \($0.key)" }
    let numbers = file.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let split = file.files.count == 1 ? "" : "\(file.files.count) files, "
    return "GGUF version \(version), \(split)\(file.tensors.count) tensors ("
      + types.joined(separator: ", ") + "), \(numbers) parameters, \(fileBytes) bytes"
  }

  /// The model's operations in order.
  ///
  /// - Returns: A row for each operation.
  /// - Throws: ``ApusError`` where the file is not a model that Apus runs.
  public func graph() throws(ApusError) -> [GraphRow] {
    let model: Model
    do throws(ModelError) { model = try Model(file, activations: .int8) } catch {
      throw ApusError(error)
    }
    let graph = model.graph
    return graph.nodes.map { node in
      let weights = node.op.weights.map { "\($0) \($0.type.name)" }
      let output = graph[node.output]
      return GraphRow(
        node: node.layer.map { "\(node.label).\($0)" } ?? node.label,
        operation: ([node.op.name] + weights).joined(separator: " "),
        inputs: node.inputs.map { graph[$0].name },
        output: "\(output.name) \(output.rows)×\(output.width)")
    }
  }
}

/// Text to ids and back, by the vocabulary of a model file.
public struct TextCodec: Sendable {
  private let text: ModelText

  /// Opens a file's vocabulary.
  public init(path: String) throws(ApusError) {
    text = try ModelText(path: path)
  }

  /// The ids of a text's bytes.
  ///
  /// - Parameters:
  ///   - bytes: The text; what is not UTF-8 is encoded byte by byte.
  ///   - parsesSpecial: Whether special tokens in the text mean what they say.
  ///   - addsBOS: Whether BOS comes first, or nil for the model's own rule.
  /// - Returns: The ids.
  public func encode(
    _ bytes: [UInt8], parsesSpecial: Bool = false, addsBOS: Bool? = nil
  ) -> [Int32] {
    text.tokenizer.encode(
      bytes, parseSpecial: parsesSpecial, addBOS: addsBOS ?? text.tokenizer.addsBOS)
  }

  /// A token's text in quotes, with what cannot be printed escaped.
  public func quoted(_ id: Int32) -> String {
    String(decoding: text.tokenizer.decode(id, showControl: true), as: UTF8.self).debugDescription
  }
}
