import GGUF
import Models
import Tensors

/// A model of random weights: the sizes of a model that people know, and the type of its matrices.
public struct RandomModelShape: Sendable, CustomStringConvertible {
  let shape: ModelShape
  let type: ElementType

  /// Reads a name such as `llama-7b-q4_0`.
  ///
  /// - Throws: ``ApusError`` with the names that there are.
  public init(_ name: String) throws(ApusError) {
    let name = name.lowercased()
    for shape in ModelShape.all where name.hasPrefix(shape.name + "-") {
      let type = name.dropFirst(shape.name.count + 1)
      guard let type = ElementType.allCases.first(where: { $0.name.lowercased() == type })
      else { continue }
      self.shape = shape
      self.type = type
      return
    }
    throw ApusError(
      .request,
      "there is no random model '\(name)': a name is a shape and an element type, such as "
        + "llama-7b-q4_0; shapes are \(Self.shapes.joined(separator: ", ")); types are "
        + Self.types.joined(separator: ", "))
  }

  /// The name.
  public var description: String { "\(shape.name)-\(type.name.lowercased())" }

  /// Names of shapes, small ones first.
  public static var shapes: [String] { ModelShape.all.map(\.name) }

  /// Names of element types.
  public static var types: [String] { ElementType.allCases.map { $0.name.lowercased() } }

  /// Numbers in the weights of a shape and their bytes in the file's layout, or nil where the rows of
  /// the shape are no whole blocks of the type.
  public static func size(of shape: String, type: String) -> (parameters: Int, bytes: Int)? {
    guard let model = try? RandomModelShape("\(shape)-\(type)"),
      let file = try? model.shape.file(of: model.type)
    else { return nil }
    return file.tensors.reduce((0, 0)) {
      ($0.0 + $1.shape.reduce(1, *), $0.1 + $1.bytes)
    }
  }
}
