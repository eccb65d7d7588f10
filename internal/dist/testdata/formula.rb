# What a formula needs of Homebrew, in a few lines: it prints as JSON what Homebrew
# would install here and elsewhere, and with a source folder and a prefix it runs
# install and test.
#
#   ruby formula.rb openelm.rb             # what it installs
#   ruby formula.rb openelm.rb head|stable SOURCE PREFIX
require "English"
require "json"
require "fileutils"
require "pathname"

class Archive
  def url(value, **options) = @url = { url: value, **options }
  def sha256(value) = @sha256 = value
  def depends_on(value) = @depends = value
  def to_h = { **(@url || {}), sha256: @sha256, depends_on: @depends }.compact
end

class Directory < Pathname
  def install(*names)
    mkpath
    names.each { |name| FileUtils.cp(name, self) }
  end
end

class Formula
  class << self
    attr_reader :facts, :test_block

    def inherited(formula)
      formula.instance_variable_set(:@facts, { archives: {} })
      Formula.instance_variable_set(:@formula, formula)
    end

    def formula = @formula

    [:desc, :homepage, :license, :version].each { |name| define_method(name) { |value| @facts[name] = value } }

    def head(&block)
      archive = Archive.new
      archive.instance_eval(&block)
      @facts[:head] = archive.to_h
    end

    def on_macos = system_block("macos") { yield }
    def on_linux = system_block("linux") { yield }
    def on_arm(&block) = processor("arm", &block)
    def on_intel(&block) = processor("intel", &block)
    def test(&block) = @test_block = block

    private

    def system_block(name)
      @system = name
      yield
    end

    def processor(name, &block)
      archive = Archive.new
      archive.instance_eval(&block)
      @facts[:archives]["#{@system}-#{name}"] = archive.to_h
    end
  end

  def initialize(head, prefix)
    @head = head
    @prefix = prefix
  end

  def build = self
  def head? = @head
  def bin = Directory.new(File.join(@prefix, "bin"))
  def version = @head ? "HEAD-0123456" : self.class.facts[:version]
  def cd(dir, &block) = Dir.chdir(dir, &block)
  def std_go_args(ldflags:, output: bin/"openelm") = ["-o=#{output}", "-ldflags=#{ldflags}"]
  def system(*args) = Kernel.system(*args.map(&:to_s)) || raise("#{args.join(" ")} failed")
  def shell_output(command) = `#{command}`.tap { raise "#{command} failed" unless $CHILD_STATUS.success? }
  def assert_match(want, text) = text.include?(want) || raise("#{text.inspect} lacks #{want.inspect}")
  def run_test = instance_eval(&self.class.test_block)

  def generate_completions_from_executable(*command)
    ["bash", "zsh", "fish"].each do |shell|
      raise "no completions for #{shell}" if shell_output([*command, shell].join(" ")).empty?
    end
  end
end

load File.expand_path(ARGV[0])
if ARGV.length == 1
  puts JSON.generate(Formula.formula.facts)
else
  formula = Formula.formula.new(ARGV[1] == "head", ARGV[3])
  Dir.chdir(ARGV[2]) { formula.install }
  formula.run_test
end
