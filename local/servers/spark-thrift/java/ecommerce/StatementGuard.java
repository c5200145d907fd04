package ecommerce;

import java.util.Locale;
import java.util.Set;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.catalog.CatalogTable;
import org.apache.spark.sql.catalyst.catalog.HiveTableRelation;
import org.apache.spark.sql.catalyst.expressions.CallMethodViaReflection;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.ScriptTransformation;
import org.apache.spark.sql.execution.command.CreateDataSourceTableAsSelectCommand;
import org.apache.spark.sql.execution.command.CreateDataSourceTableCommand;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.InsertIntoHadoopFsRelationCommand;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * Refuses statements that would run programs in the server or reach what is not the lake's: its files, other servers.
 *
 * <p>Looks at the analyzed plan, views and subqueries in it included, so it does not matter how a statement is spelled.
 * Source: {@code org.apache.spark.sql.SparkSessionExtensions} in the API documentation of Spark.
 */
public class StatementGuard extends AbstractFunction1<SparkSessionExtensions, BoxedUnit> {
    /** By simple name: the commands are private to Spark's packages, or of several. */
    private static final Set<String> REFUSED =
        Set.of(
            "AddJarsCommand",
            "AddFilesCommand",
            "AddArchivesCommand",
            "CreateFunction",
            "CreateFunctionCommand",
            "CreateTempViewUsing",
            "LoadDataCommand",
            "InsertIntoDir",
            "InsertIntoDataSourceDirCommand",
            "InsertIntoHiveDirCommand");

    private static final Set<String> FORMATS = Set.of("avro", "csv", "hive", "json", "orc", "parquet", "text");

    @Override
    public BoxedUnit apply(SparkSessionExtensions extensions) {
        extensions.injectCheckRule(
            session ->
                plan -> {
                    check(session, plan);
                    return BoxedUnit.UNIT;
                });
        return BoxedUnit.UNIT;
    }

    private static void check(SparkSession session, LogicalPlan plan) {
        var lake = FileSystem.getDefaultUri(session.sparkContext().hadoopConfiguration()).getScheme();
        plan.foreachWithSubqueries(
            node -> {
                checkNode(lake, (LogicalPlan) node);
                return BoxedUnit.UNIT;
            });
    }

    private static void checkNode(String lake, LogicalPlan node) {
        var kind = node.getClass().getSimpleName();
        if (REFUSED.contains(kind) || node instanceof ScriptTransformation) {
            refuse(kind, "would run programs in the SQL endpoint, or read and write its files");
        }
        CollectionConverters.asJava(node.expressions()).forEach(StatementGuard::checkExpression);
        if (node instanceof LogicalRelation) {
            var relation = ((LogicalRelation) node).relation();
            if (!(relation instanceof HadoopFsRelation)) {
                refuse(relation.getClass().getSimpleName(), "would reach what is not the lake's");
            }
            CollectionConverters.asJava(((HadoopFsRelation) relation).location().rootPaths()).forEach(path -> checkPath(lake, path));
        }
        if (node instanceof InsertIntoHadoopFsRelationCommand) {
            checkPath(lake, ((InsertIntoHadoopFsRelationCommand) node).outputPath());
        }
        if (node instanceof CreateDataSourceTableCommand) {
            checkTable(lake, ((CreateDataSourceTableCommand) node).table());
        }
        if (node instanceof CreateDataSourceTableAsSelectCommand) {
            checkTable(lake, ((CreateDataSourceTableAsSelectCommand) node).table());
        }
        if (node instanceof HiveTableRelation) {
            checkPath(lake, new Path(((HiveTableRelation) node).tableMeta().location()));
        }
        if (kind.startsWith("DataSourceV2")) {
            refuse(kind, "would reach what is not the lake's");
        }
    }

    private static void checkTable(String lake, CatalogTable table) {
        var format = table.provider().getOrElse(() -> "hive").toLowerCase(Locale.ROOT);
        if (!FORMATS.contains(format)) {
            refuse("a table of " + format, "would reach what is not the lake's");
        }
        if (table.storage().locationUri().isDefined()) {
            checkPath(lake, new Path(table.storage().locationUri().get()));
        }
    }

    private static void checkExpression(Expression expression) {
        var kind = expression.getClass().getSimpleName();
        if (expression instanceof CallMethodViaReflection || kind.matches("Hive\\w*UD\\w*F\\w*")) {
            refuse(kind, "would run programs in the SQL endpoint");
        }
        CollectionConverters.asJava(expression.children()).forEach(StatementGuard::checkExpression);
    }

    private static void checkPath(String lake, Path path) {
        var scheme = path.toUri().getScheme();
        if (scheme != null && !scheme.equals(lake)) {
            refuse(path.toString(), "is not on the lake's file system, " + lake);
        }
    }

    private static void refuse(String what, String why) {
        throw new SecurityException("refused: " + what + " " + why);
    }
}
